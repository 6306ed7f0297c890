"""Ingest: a table from a file, a database or S3, as an immutable snapshot addressed by its content."""
