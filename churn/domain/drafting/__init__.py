"""Drafting a contract from a table: what its columns hold, what may be learned from, and the YAML that says so."""

from churn.domain.drafting.document import draft

__all__ = ["draft"]
