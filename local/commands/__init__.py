"""The commands of `churn`, one file for each noun; what they do lies below them."""
