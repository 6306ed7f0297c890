"""Who is held out, and who is in which fold: by hashes of the entity, so that it never depends on order or chance.

Each use has a salt of its own, so that one split says nothing about another."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from churn.domain.errors import UserError

Rows = npt.NDArray[np.int64]

HOLDOUT_SALT = "churn/holdout/1"
FOLD_SALT = "churn/fold/1"

_STARTS = 24
ENOUGH = 30
"""Rows of each outcome that a fold should have on both sides before time is cut into more periods."""


@dataclass(frozen=True)
class Fold:
    """Row numbers to train on and to judge on."""

    train: Rows
    test: Rows


def unit_hash(keys: pa.Array | pa.ChunkedArray, salt: str) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each key: the first 8 bytes of SHA-256 of salt, a zero byte and the key's text."""
    prefix = hashlib.sha256(salt.encode() + b"\0")
    found = np.empty(len(keys), np.uint64)
    for position, key in enumerate(keys.cast(pa.string()).to_pylist()):
        digest = prefix.copy()
        digest.update(key.encode())
        found[position] = int.from_bytes(digest.digest()[:8], "big")
    return found / 2.0**64


def holdout(keys: pa.Array | pa.ChunkedArray, share: float) -> npt.NDArray[np.bool_]:
    """Which rows belong to customers that no model is ever trained on."""
    return unit_hash(keys, HOLDOUT_SALT) < share


def folds(
    keys: pa.Array | pa.ChunkedArray,
    times: npt.NDArray[np.datetime64],
    y: npt.NDArray[np.float64],
    count: int,
    horizon_days: int,
) -> list[Fold]:
    """`count` folds; no customer is on both sides of one, no row is judged twice, both outcomes are on both sides.

    Rows of several times: every fold judges later rows than it trains on, with a gap of the label horizon. Otherwise
    (or where all times lie within one horizon) folds are stratified by outcome, and every row is judged.
    Raises UserError when there are too few rows of an outcome for that."""
    group = _groups(unit_hash(keys, FOLD_SALT), y, count)
    gap = np.timedelta64(horizon_days, "D")
    if not _later(times, gap).any():
        return [Fold(*_numbers(group != number, group == number)) for number in range(count)]
    for periods in range(count, 1, -1):
        found = _forward(group, times, _starts(times, gap, periods), gap)
        if _poorest(found, y) >= ENOUGH:
            return found
    found = max(
        (_forward(group, times, start, gap) for start in _single_starts(times, gap)), key=lambda it: _poorest(it, y)
    )
    if not _poorest(found, y):
        raise _too_few(f"some of {count} folds that go forward in time have rows of one outcome only")
    return found


def _groups(place: npt.NDArray[np.float64], y: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.int64]:
    """A number below `count` for each row: customers of one outcome, in the order of their hash, are dealt in turn."""
    values, customer = np.unique(place, return_inverse=True)
    left = np.zeros(len(values))
    np.maximum.at(left, customer, y)
    if _rarest(left) < count:
        raise _too_few(f"{_rarest(left)} customers of one outcome are fewer than {count} folds")
    turn = np.empty(len(values), np.int64)
    for outcome in (0.0, 1.0):
        of_outcome = np.nonzero(left == outcome)[0]
        turn[of_outcome] = np.arange(len(of_outcome)) % count
    return turn[customer]


def _later(times: npt.NDArray[np.datetime64], gap: np.timedelta64) -> npt.NDArray[np.bool_]:
    """Which rows come late enough for others to be trained on."""
    return np.asarray((times >= times.min() + gap) & (times > times.min()), np.bool_)


def _starts(times: npt.NDArray[np.datetime64], gap: np.timedelta64, periods: int) -> npt.NDArray[np.datetime64]:
    """When the periods begin that are judged: about as many rows in each, and before the first of them."""
    ordered = np.sort(times)
    evenly = ordered[np.arange(1, periods + 1) * len(ordered) // (periods + 1)]
    return np.unique(np.maximum(evenly, times[_later(times, gap)].min()))


def _single_starts(times: npt.NDArray[np.datetime64], gap: np.timedelta64) -> list[npt.NDArray[np.datetime64]]:
    """Times at which one period may begin that lasts to the end; a few of them, spread evenly, where there are many."""
    possible = np.unique(times[_later(times, gap)])
    spread = np.unique(np.linspace(0, len(possible) - 1, _STARTS).astype(np.int64))
    return [possible[[position]] for position in spread]


def _poorest(folds: list[Fold], y: npt.NDArray[np.float64]) -> int:
    """How many rows of its rarer outcome the side has that has the fewest."""
    return min(_rarest(y[side]) for fold in folds for side in (fold.train, fold.test))


def _forward(
    group: npt.NDArray[np.int64],
    times: npt.NDArray[np.datetime64],
    starts: npt.NDArray[np.datetime64],
    gap: np.timedelta64,
) -> list[Fold]:
    """Each fold judges the customers of one group in one period, and trains on the others' rows before it."""
    period = np.searchsorted(starts, times, side="right") - 1
    found = []
    for number in range(group.max() + 1):
        judged = number % len(starts)
        known = (times <= starts[judged] - gap) & (times < starts[judged])
        found.append(Fold(*_numbers((group != number) & known, (group == number) & (period == judged))))
    return found


def _rarest(y: npt.NDArray[np.float64]) -> int:
    """How many rows the rarer outcome has."""
    return int(min(y.sum(), len(y) - y.sum()))


def _numbers(train: npt.NDArray[np.bool_], test: npt.NDArray[np.bool_]) -> tuple[Rows, Rows]:
    return np.nonzero(train)[0], np.nonzero(test)[0]


def _too_few(problem: str) -> UserError:
    return UserError(problem, where="training.folds", remedy="more rows, or fewer folds in the contract")
