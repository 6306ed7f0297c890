"""The date that a run is for: up to it things are known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from churn.domain.errors import UserError

_EARLIEST = 1971
_AHEAD = timedelta(days=1)
"""Clocks differ, and zones do: somewhere it is tomorrow already."""


def stamp(text: str, where: str = "as-of") -> datetime:
    """The date or time in `text` (ISO 8601; UTC where it names no zone) in UTC; now when it is empty.

    Raises UserError for anything else, and for what lies before 1971."""
    try:
        found = datetime.fromisoformat(text.strip()) if text.strip() else datetime.now(UTC)
        if found.year >= _EARLIEST:
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        remedy = "write 2026-01-31, or 2026-01-31T12:00:00Z"
        raise UserError(f"'{text}' is not a date", where=where, remedy=remedy) from error
    raise UserError(f"'{text}' lies before {_EARLIEST}", where=where, remedy="like 2026-01-31")


def require_come(found: datetime, where: str = "as-of") -> None:
    """Raises UserError for a time more than a day ahead of the clock: what is written for it nothing later replaces."""
    if found > datetime.now(UTC) + _AHEAD:
        remedy = "give a date that has come; without one it is now"
        raise UserError(f"{found:%Y-%m-%d} has not come yet", where=where, remedy=remedy)
