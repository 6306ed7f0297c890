"""What a store may answer besides a plain UserError."""

from __future__ import annotations

from churn.domain.errors import UserError


class ConflictError(UserError):
    """Somebody else was faster, or the place already holds something else; nothing was changed."""


class MissingObjectError(UserError):
    """The store answers, the object is not there."""
