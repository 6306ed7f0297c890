"""Assemble: the newest labelled window, from the prediction log and its outcomes or from a table, as a training set."""
