"""The time a run is for."""

from __future__ import annotations

import datetime as dt

from churn.domain.errors import UserError

MOST_DAYS = 3650
_EARLIEST = 1971


def require_days(days: int, where: str) -> None:
    """Raises UserError for a number of days that is no window."""
    if not 1 <= days <= MOST_DAYS:
        raise UserError(f"{days} days are no window", where=where, remedy=f"give 1 to {MOST_DAYS}")


def moment(text: str) -> dt.datetime:
    """A time as ISO 8601, UTC where it names no zone; now where it is empty.

    Raises UserError for anything else, and for what lies before 1971."""
    try:
        found = dt.datetime.fromisoformat(text) if text else dt.datetime.now(dt.UTC)
    except ValueError:
        raise UserError(f"'{text}' is not a date", where="as_of", remedy="like 2026-01-31") from None
    if found.year < _EARLIEST:
        raise UserError(f"'{text}' lies before anything that was ever logged", where="as_of", remedy="like 2026-01-31")
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)
