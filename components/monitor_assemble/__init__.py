"""Monitor, first part: the champion's reference, what was logged since, and the outcomes, as files for the judge."""
