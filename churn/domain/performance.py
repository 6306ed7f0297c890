"""How a model did once outcomes are known: each prediction judged when its label horizon has passed, and no earlier."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn.domain import decision, metrics
from churn.domain.contract import Costs

Vector = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

DAY_US = 86_400_000_000
UNKNOWN = np.iinfo(np.int64).min
"""No such time."""

LEAVER, STAYER, PENDING = 1, 0, -1

FEWEST = 200
"""Judged predictions below which a version is not held against its promotion."""
LATEST_DAYS = 28
"""How many days of predictions `latest` looks at."""
_FEWEST_OF_A_KIND = 20
_MOST_UNDATED = 0.1
_LARGEST = 20_000
_DRAWS = 200


@dataclass(frozen=True)
class Predictions:
    """Predictions (n,) and what is known of their customers; times are microseconds since 1970, or `UNKNOWN`."""

    at: Times
    version: npt.NDArray[np.int64]
    probability: Vector
    contacted: Mask
    left_at: Times
    stayed_until: Times


class Interval(msgspec.Struct, frozen=True):
    """A value and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """A version in the week that begins on `week` (a Monday, UTC), or in all weeks where that is null.

    `calibration` is mean prediction less observed rate, `profit` the expected profit a customer of what was decided.
    Null where nothing is judged; `auc` also where all left or all stayed."""

    week: dt.date | None
    version: int
    predictions: int
    judged: int
    pending: int
    leavers: int
    auc: Interval | None = None
    brier: Interval | None = None
    calibration: Interval | None = None
    ece: float | None = None
    profit: Interval | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A version against its promotion in one measure. `worse` when even the better end of the interval falls short of
    the promotion's value by more than `margin`."""

    version: int
    measure: str
    promoted: float
    now: Interval
    margin: float
    worse: bool


def microseconds(moment: dt.datetime) -> int:
    """A time with a zone, in microseconds since 1970."""
    return round(moment.timestamp() * 1e6)


def times(values: pa.Array | pa.ChunkedArray) -> Times:
    """Arrow's timestamps (n,) of microseconds in UTC, null as `UNKNOWN`."""
    return np.asarray(pc.fill_null(values.cast(pa.int64()), UNKNOWN), np.int64)


def states(predictions: Predictions, horizon_days: int, as_of: int) -> npt.NDArray[np.int8]:
    """`LEAVER`, `STAYER` or `PENDING` (n,) of each prediction, as of a time."""
    return fates(predictions.at, predictions.left_at, predictions.stayed_until, horizon_days, as_of)


def fates(at: Times, left_at: Times, stayed_until: Times, horizon_days: int, as_of: int) -> npt.NDArray[np.int8]:
    """`LEAVER`, `STAYER` or `PENDING` (n,), as of a time, of who was asked about `at`.

    A leaver left after the prediction and within the horizon; a stayer is known to have stayed for the whole horizon. A
    leaver too is pending until the horizon has passed: otherwise those who leave at once would be judged first. Who had
    left before, or at the same time, is neither, and stays pending: nobody stayed, and a date without a time may be of
    the same day. And nobody is judged whose horizon ends after the last time that anybody is known to have stayed.

    Who left between `stayed_until` and `left_at`, and the horizon ends in between, stays pending too; and where these
    are more than a tenth of a day's leavers, so does everybody who was asked about that day, or most who are judged
    would have stayed."""
    as_of = min(as_of, known_up_to(left_at, stayed_until))
    end = at + horizon_days * DAY_US
    left = (left_at > at) & (left_at <= end)
    gone = (left_at != UNKNOWN) & (left_at <= at)
    stayed = ~left & ~gone & (stayed_until >= end)
    undated = ~stayed & (left_at > end)
    if undated.any():
        day = np.unique(at // DAY_US, return_inverse=True)[1]
        vague = np.bincount(day, undated) > _MOST_UNDATED * np.bincount(day, undated | left)
        left, stayed = left & ~vague[day], stayed & ~vague[day]
    found = np.full(len(end), PENDING, np.int8)
    found[left & (end <= as_of)] = LEAVER
    found[stayed & (end <= as_of)] = STAYER
    return found


def known_up_to(left_at: Times, stayed_until: Times) -> int:
    """Up to when stayers are known to have stayed. Later only leavers are known: of those alone, everybody leaves."""
    return int(stayed_until[left_at == UNKNOWN].max(initial=UNKNOWN))


def weeks(at: Times) -> Times:
    """The Monday of each time, in days since 1970."""
    return (at // DAY_US + 3) // 7 * 7 - 3


def by_week(predictions: Predictions, state: npt.NDArray[np.int8], costs: Costs) -> tuple[Period, ...]:
    """Each version in each week of its predictions, and in all of them (those first)."""
    monday = weeks(predictions.at)
    found = []
    for version in np.unique(predictions.version):
        own = predictions.version == version
        found.append(_period(predictions, state, own, costs))
        for day in np.unique(monday[own]):
            found.append(_period(predictions, state, own & (monday == day), costs, _date(int(day))))  # noqa: PERF401
    return tuple(sorted(found, key=lambda one: (one.week is not None, one.version, one.week or dt.date.min)))


def latest(
    predictions: Predictions, state: npt.NDArray[np.int8], costs: Costs, horizon_days: int, as_of: int
) -> tuple[Period, ...]:
    """Each version in the four weeks of predictions whose horizon has passed last: how it does by now, and not how it
    did when it was new."""
    end = as_of - horizon_days * DAY_US
    recent = (predictions.at > end - LATEST_DAYS * DAY_US) & (predictions.at <= end)
    found = (recent & (predictions.version == version) for version in np.unique(predictions.version[recent]))
    return tuple(_period(predictions, state, rows, costs) for rows in found)


def against_promotion(periods: tuple[Period, ...], promoted: dict[int, dict[str, float]]) -> tuple[Standing, ...]:
    """Each version that has enough outcomes against its hold-out metrics at promotion, where those are known.

    The hold-out's own chance is in the margin: .02 of AUC, .01 of Brier, a tenth of the profit."""
    found = []
    for one in periods:
        stayers = one.judged - one.leavers
        if one.week is not None or one.judged < FEWEST or min(one.leavers, stayers) < _FEWEST_OF_A_KIND:
            continue
        before = promoted.get(one.version, {})
        for measure, name, now, margin in (
            ("auc", "roc_auc", one.auc, 0.02),
            ("brier", "brier", one.brier, 0.01),
            ("profit", "expected_profit", one.profit, 0.1 * abs(before.get("expected_profit", 0.0))),
        ):
            if now is not None and name in before:
                value = before[name]
                worse = now.low > value + margin if measure == "brier" else now.high < value - margin
                found.append(Standing(
                    version=one.version, measure=measure, promoted=value, now=now, margin=margin, worse=worse
                ))  # fmt: skip
    return tuple(found)


def _period(
    predictions: Predictions, state: npt.NDArray[np.int8], rows: Mask, costs: Costs, week: dt.date | None = None
) -> Period:
    judged = rows & (state != PENDING)
    y, p = (state[judged] == LEAVER).astype(np.float64), predictions.probability[judged]
    counts = Period(
        week=week,
        version=int(predictions.version[rows][0]),
        predictions=int(rows.sum()),
        judged=len(y),
        pending=int(rows.sum()) - len(y),
        leavers=int(y.sum()),
    )
    if not len(y):
        return counts
    worth = decision.profits(y, predictions.contacted[judged], costs)
    return msgspec.structs.replace(counts, ece=metrics.ece(y, p), **_intervals(y, p, worth))


def _intervals(y: Vector, p: Vector, worth: Vector) -> dict[str, Interval | None]:
    """Percentile intervals (Efron 1979). Of more than 20,000 rows so many are drawn from: then they are too wide."""
    random = np.random.default_rng(7)
    rows = np.arange(len(y))
    if len(y) > _LARGEST:
        rows = random.choice(len(y), _LARGEST, replace=False)
    weights = random.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), _DRAWS)

    def mean(values: Vector) -> Interval:
        return _interval(float(values.mean()), weights @ values[rows] / len(rows))

    area = None
    if 0 < y.sum() < len(y):
        drawn = _weighted_auc(y[rows], p[rows], weights)
        area = _interval(metrics.roc_auc(y, p), drawn[np.isfinite(drawn)])
    return {"auc": area, "brier": mean((p - y) ** 2), "calibration": mean(p - y), "profit": mean(worth)}


def _interval(value: float, drawn: Vector) -> Interval:
    if not len(drawn):
        return Interval(value, value, value)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(value, float(low), float(high))


def _weighted_auc(y: Vector, p: Vector, weights: npt.NDArray[np.int64]) -> Vector:
    """The AUC under each row of weights (draws, n); NaN where one of the outcomes is not drawn. Ties count half."""
    order = np.argsort(p, kind="stable")
    starts = np.concatenate([[0], np.nonzero(np.diff(p[order]))[0] + 1])
    found = np.empty(len(weights))
    for place, drawn in enumerate(weights):
        leavers, stayers = (np.add.reduceat((drawn * kind)[order], starts) for kind in (y, 1 - y))
        pairs = leavers.sum() * stayers.sum()
        below = np.cumsum(stayers) - stayers / 2
        found[place] = (leavers @ below) / pairs if pairs else np.nan
    return found


def _date(day: int) -> dt.date:
    return dt.date(1970, 1, 1) + dt.timedelta(days=day)
