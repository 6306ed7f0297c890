"""Cron expressions as Kubeflow Pipelines reads them: six fields, the first of them seconds.

KFP parses them with github.com/robfig/cron 1.2 (`cron.Parse`), in the one time zone of the installation. What that
parser takes without looking is refused here: *-5 for *, commas with nothing between them, days that there are not."""

from __future__ import annotations

import re
from typing import NamedTuple

from churn.domain.errors import UserError

_DESCRIPTORS = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})
_EVERY = re.compile(r"@every (?=.*[1-9])(?:\d+h)?(?:\d+m)?(?:\d+s)?")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_LONGEST = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    names: dict[str, int]


_FIELDS = (
    _Field("second", 0, 59, {}),
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of the month", 1, 31, {}),
    _Field("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    _Field("day of the week", 0, 6, {name: number for number, name in enumerate(_DAYS)}),
)


def check(expression: str, where: str) -> None:
    """Raises UserError for what KFP would refuse, never run, or read as something else than was meant.

    Five fields are ordinary cron; KFP would take the minutes for seconds and the hours for minutes."""
    if expression in _DESCRIPTORS or _EVERY.fullmatch(expression):
        return
    if expression.startswith("@"):
        known = ", ".join(sorted(_DESCRIPTORS))
        raise UserError(f"'{expression}' is no schedule", where=where, remedy=f"known are {known} and @every 12h")
    fields = expression.split()
    if len(fields) == 5:
        raise UserError(
            f"'{expression}' has five fields, of which KFP would take the first for seconds",
            where=where,
            remedy=f"write '0 {' '.join(fields)}': second, minute, hour, day, month, day of the week",
        )
    if len(fields) != 6:
        order = "second, minute, hour, day, month, day of the week"
        raise UserError(f"'{expression}' has {len(fields)} fields, not six", where=where, remedy=order)
    days, months, weekdays = [_values(text, field, where) for text, field in zip(fields, _FIELDS, strict=True)][3:]
    # As soon as one of the two day fields is a star, both have to match; otherwise one is enough.
    both = any(part[:1] in {"*", "?"} for field in (fields[3], fields[5]) for part in field.split(","))
    exists = any(day <= _LONGEST.get(month, 31) for month in months for day in days)
    if not weekdays or (both and not exists):
        raise UserError(f"'{expression}' names no day that there is, and would never run", where=where)


def _values(text: str, field: _Field, where: str) -> set[int]:
    """What a field matches: ranges and steps, separated by commas."""
    found: set[int] = set()
    for part in text.split(","):
        found |= _range(part, field, where)
    return found


def _range(part: str, field: _Field, where: str) -> set[int]:
    def refuse() -> UserError:
        remedy = f"{field.low} to {field.high}, *, ranges like {field.low}-{field.high}, steps like */2"
        return UserError(f"'{part}' is no {field.name}", where=where, remedy=remedy)

    bounds, slash, step = part.partition("/")
    low, hyphen, high = bounds.partition("-")
    if low in {"*", "?"} and not hyphen:
        first, last = field.low, field.high
    else:
        first = _number(low, field.names)
        last = _number(high, field.names) if hyphen else field.high if slash else first
    width = _number(step, {}) if slash else 1
    if not (field.low <= first <= last <= field.high and width > 0):
        raise refuse()
    return set(range(first, last + 1, width))


def _number(text: str, names: dict[str, int]) -> int:
    """The number of a value, or -1, which no field has."""
    if text.lower() in names:
        return names[text.lower()]
    return int(text) if re.fullmatch(r"[0-9]{1,4}", text) else -1
