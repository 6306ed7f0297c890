"""A year in one command: generated customers, the whole loop on simulated dates, and what it was worth."""
