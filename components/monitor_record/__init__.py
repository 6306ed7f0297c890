"""Monitor, last part: the judgement in the database, and as a page for people."""
