"""How figures are said."""

from __future__ import annotations

from local.simulation.accounts import Moment

NOTHING = "\N{EN DASH}"


def money(value: float) -> str:
    """12,300, and a minus that is one."""
    return f"{value:,.0f}".replace("-", "\N{MINUS SIGN}")


def auc(value: float | None) -> str:
    """Three decimals."""
    return NOTHING if value is None else f"{value:.3f}"


def percent(share: float | None) -> str:
    """94 %."""
    return NOTHING if share is None else f"{100 * share:.0f} %"


def moment(at: Moment | None) -> str:
    """The day and its month of the year."""
    return "never" if at is None else f"{at.day.day} {at.day:%B} (month {at.month})"
