"""The domain of churn, and the stores it is kept in."""
