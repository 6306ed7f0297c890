"""The time a run is for."""

from __future__ import annotations

import datetime as dt

from churn.domain.errors import UserError


def moment(text: str) -> dt.datetime:
    """A time as ISO 8601, UTC where it names no zone; now where it is empty. Raises UserError for anything else."""
    try:
        found = dt.datetime.fromisoformat(text) if text else dt.datetime.now(dt.UTC)
    except ValueError:
        raise UserError(f"'{text}' is not a date", where="as_of", remedy="like 2026-01-31") from None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)
