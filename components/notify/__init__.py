"""Notify: the last step of a pipeline, whatever became of it; tells people how it ended."""
