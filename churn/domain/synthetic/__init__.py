"""Synthetic telco customers: columns of the IBM sample, a known law of churn, months that follow each other, drift on demand."""
