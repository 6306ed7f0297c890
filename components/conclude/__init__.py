"""Conclude: what came of a retraining, in the table of decisions and in the registry."""
