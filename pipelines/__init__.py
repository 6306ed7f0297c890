"""Pipelines: how components are composed, and nothing else."""
