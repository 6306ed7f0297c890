"""Synthetic telco customers: the IBM sample's columns, a known law of churn, months that follow each other, drift."""
