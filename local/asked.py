"""What several commands are asked for, read once: a runner, a date, an address."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from churn.domain.errors import UserError
from churn.domain.formula import nearest
from components.dates import require_come, stamp
from local.runner import RUNNERS, RunnerName


def runner_of(name: str) -> RunnerName:
    """The runner of that name. Raises UserError when there is none."""
    chosen = next((one for one in RUNNERS if one == name), None)
    if chosen is None:
        raise UserError(f"there is no runner '{name}'", where="--runner", remedy=nearest(name, list(RUNNERS)))
    return chosen


def date_of(text: str) -> str:
    """A date or time as ISO 8601; empty stays empty, which means now.

    Raises UserError for anything else, for what lies before 1971, and for what lies more than a day ahead."""
    if not text:
        return ""
    require_come(stamp(text, where="--as-of"), where="--as-of")
    return datetime.fromisoformat(text).isoformat()


def address_of(text: str) -> str:
    """An address as steps take it: paths absolute, for each starts in a folder of its own; empty stays empty."""
    return text if "://" in text or not text else str(Path(text).expanduser().absolute())
