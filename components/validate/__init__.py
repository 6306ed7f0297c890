"""Validate: the snapshot's rows under the contract; what breaks it is set aside with the reason for each row."""
