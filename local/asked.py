"""What several commands are asked for, read once: a runner, a date, an address."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from churn.domain.errors import UserError
from churn.domain.formula import nearest
from local.runner import RUNNERS, RunnerName


def runner_of(name: str) -> RunnerName:
    """The runner of that name. Raises UserError when there is none."""
    chosen = next((one for one in RUNNERS if one == name), None)
    if chosen is None:
        raise UserError(f"there is no runner '{name}'", where="--runner", remedy=nearest(name, list(RUNNERS)))
    return chosen


def date_of(text: str) -> str:
    """A date or time as ISO 8601; empty stays empty, which means now. Raises UserError for anything else."""
    if not text:
        return ""
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        raise UserError(f"'{text}' is not a date", where="--as-of", remedy="like 2026-01-31") from None


def address_of(text: str) -> str:
    """An address as steps take it: paths absolute, for each starts in a folder of its own; empty stays empty."""
    return text if "://" in text or not text else str(Path(text).expanduser().absolute())
