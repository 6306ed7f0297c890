"""The log of every answered prediction: a buffer, a spool on disk, and the database behind it.

Nothing here is heavy to import: drivers, NumPy and Arrow come when something is written or read."""
