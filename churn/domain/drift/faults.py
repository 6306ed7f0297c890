"""Columns that look broken for a while: a fault of the data, and no change of the world.

Looked at week by week, for a fault of some days would drown in a window of a month; and not day by day, for whom
somebody asks about on one day may be like nobody else."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import msgspec
import numpy as np
import numpy.typing as npt

from churn.domain.contract import Contract
from churn.domain.drift import effects
from churn.domain.drift.columns import MISSING, Matrix, Vector
from churn.domain.performance import DAY_US, Times

_DAYS = 7
_FAR = 3.0
_APART = 0.6
_ABSENT = 0.2
_STRANGE = 0.05
"""A column looks broken when its mean has moved by this factor while the distributions lie this far apart, or when this
share more of its values is missing, or unknown: prices do not triple in a week, units and exports do."""


class Fault(msgspec.Struct, frozen=True):
    """What is odd about a column from `since` up to, and without, `until`."""

    since: dt.datetime
    until: dt.datetime
    why: str


def faults(
    contract: Contract, reference: Matrix, window: Matrix, at: Times, fewest: int
) -> dict[str, tuple[Fault, ...]]:
    """The faults of each column that has any. Columns (n, k) and (m, k) are those of `columns.matrix`, `at` (m,) times
    in microseconds since 1970. Weeks end with the newest day; one of less than `fewest` rows goes with the next."""
    found: dict[str, list[Fault]] = {}
    for start, end, rows in _weeks(at, fewest):
        for place, name in enumerate(contract.raw):
            labels = contract.labels(name)
            sides = reference[:, place], window[rows, place]
            why = _odd_number(*sides) if labels is None else _odd_codes(*sides, len(labels))
            if why:
                found.setdefault(name, []).append(Fault(_moment(start), _moment(end), why))
    return {name: tuple(sorted(some, key=lambda one: one.since)) for name, some in found.items()}


def _weeks(at: Times, fewest: int) -> Iterator[tuple[int, int, npt.NDArray[np.bool_]]]:
    """From, to and which rows, in days since 1970, the newest first."""
    if not len(at):
        return
    day = at // DAY_US
    end, first = int(day.max()) + 1, int(day.min())
    start = end
    while start > first:
        start = max(start - _DAYS, first)
        rows = (day >= start) & (day < end)
        rest = int((day < start).sum())
        if rows.sum() < fewest and rest:
            continue
        if 0 < rest < fewest:
            start, rows = first, day < end
        if rows.sum() >= fewest:
            yield start, end, rows
        end = start


def _odd_number(before: Vector, now: Vector) -> str:
    missing = [float((side == MISSING).mean()) for side in (before, now)]
    if missing[1] - missing[0] >= _ABSENT:
        return _shares("missing", missing)
    means = [float(side[side != MISSING].mean()) if (side != MISSING).any() else None for side in (before, now)]
    if _is_far(*means) and effects.ks_distance(before, now) >= _APART:
        return f"mean {means[1]:.4g}, {means[0]:.4g} before"
    return ""


def _odd_codes(before: Vector, now: Vector, labels: int) -> str:
    for code, what, bound in ((labels, "missing", _ABSENT), (labels + 1, "unknown", _STRANGE)):
        shares = [float((side == code).mean()) for side in (before, now)]
        if shares[1] - shares[0] >= bound:
            return _shares(what, shares)
    return ""


def _shares(what: str, shares: list[float]) -> str:
    return f"{100 * shares[1]:.0f} % {what}, {100 * shares[0]:.0f} % before"


def _is_far(before: float | None, now: float | None) -> bool:
    if before is None or now is None:
        return False
    low, high = sorted((abs(before), abs(now)))
    return high > _FAR * low or (before * now < 0 and high > 0)


def _moment(day: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(day * 86_400, dt.UTC)
