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
    """`count` folds; no customer is on both sides of one.

    Rows of several times: every fold judges later rows than it trains on, with a gap of the label horizon. Otherwise
    (or where all times lie within one horizon) folds are stratified by outcome.
    Raises UserError when a class has fewer rows than there are folds."""
    rarest = min(int(y.sum()), len(y) - int(y.sum()))
    if rarest < count:
        problem = f"{rarest} rows of one class are fewer than {count} folds"
        raise UserError(problem, remedy="more rows, or fewer folds: training.folds in the contract")
    place = unit_hash(keys, FOLD_SALT)
    forward = _forward(place, times, count, np.timedelta64(horizon_days, "D"))
    return forward or _stratified(place, y, count)


def _stratified(place: npt.NDArray[np.float64], y: npt.NDArray[np.float64], count: int) -> list[Fold]:
    """Customers of one outcome, in the order of their hash, are dealt to the folds in turn, with all their rows."""
    values, customer = np.unique(place, return_inverse=True)
    outcome = np.zeros(len(values))
    np.maximum.at(outcome, customer, y)
    turn = np.empty(len(values), np.int64)
    for value in (0.0, 1.0):
        of_class = np.nonzero(outcome == value)[0]
        turn[of_class] = np.arange(len(of_class)) % count
    group = turn[customer]
    return [Fold(np.nonzero(group != number)[0], np.nonzero(group == number)[0]) for number in range(count)]


def _forward(
    place: npt.NDArray[np.float64], times: npt.NDArray[np.datetime64], count: int, gap: np.timedelta64
) -> list[Fold]:
    """Fold number f judges the customers of group f in one block of times, and trains on the others' rows before it."""
    distinct = np.unique(times)
    later = [time for time in distinct if (distinct <= time - gap).any()]
    if not later:
        return []
    blocks = np.array_split(np.array(later), min(count, len(later)))
    group = np.minimum((place * count).astype(np.int64), count - 1)
    found = []
    for number in range(count):
        block = blocks[number % len(blocks)]
        test = (group == number) & np.isin(times, block)
        train = (group != number) & (times <= block[0] - gap)
        found.append(Fold(np.nonzero(train)[0], np.nonzero(test)[0]))
    return found
