"""Changes of one column: a number by standard deviations, a category by its share. The law of churn stays."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from churn.domain.errors import UserError
from churn.domain.synthetic.columns import CATEGORIES
from churn.domain.synthetic.customers import Customers, Floats, Serials, list_price, typical
from churn.domain.synthetic.tenure import LONGEST

SPREAD = {"tenure": 24.3, "MonthlyCharges": 30.0, "TotalCharges": 2260.0}
"""Standard deviations of the numbers in the base."""


def number(column: str, size: float) -> Callable[[Customers], None]:
    """Moves a number by `size` standard deviations; tenure stays within its bounds, charges at 0 or more."""
    if column not in SPREAD:
        raise UserError(f"'{column}' is no number that can drift", where="--drift", remedy=f"the numbers are {', '.join(SPREAD)}")
    distance = size * SPREAD[column]

    def move(customers: Customers) -> None:
        if column == "tenure":
            customers.tenure = np.clip(customers.tenure + np.int64(round(distance)), 0, LONGEST).astype(np.uint8)
        elif column == "MonthlyCharges":
            customers.monthly = np.maximum(customers.monthly + distance, 0)
        else:
            customers.total = np.maximum(customers.total + distance, 0)

    return move


def category(column: str, name: str, share: float) -> Callable[[Customers], None]:
    """Moves `share` of all customers to a category, at random from those who could have it and do not."""
    code = _code(column, name)
    source = _movable(typical(), column, code).mean()
    if not 0 < share <= source:
        problem = f"the share {share:+g} of {column}={name} cannot move"
        raise UserError(problem, where="--drift", remedy=f"between 0 and {source:.2f} of all customers can move there")

    def move(customers: Customers) -> None:
        before = list_price(customers)
        moved = _movable(customers, column, code) & (luck(customers.serial, column) < share / source)
        customers.codes[column] = np.where(moved, np.uint8(code), customers.codes[column])
        customers.monthly = customers.monthly + list_price(customers) - before

    return move


def luck(serial: Serials, column: str) -> Floats:
    """A number in [0, 1) for each customer that never changes, (n,): the finaliser of SplitMix64 over the serial."""
    x = serial.astype(np.uint64) + np.uint64(zlib.crc32(column.encode())) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return (x >> np.uint64(11)).astype(np.float64) / 2.0**53


def _movable(customers: Customers, column: str, code: int) -> npt.NDArray[np.bool_]:
    """Who could have the category and does not: without internet nobody has a service that needs it."""
    shown = customers.shown(column)
    return (shown != code) & (shown == customers.codes[column])


def _code(column: str, name: str) -> int:
    if column not in CATEGORIES:
        raise UserError(f"'{column}' has no categories", where="--drift", remedy=f"those that have: {', '.join(CATEGORIES)}")
    names = [each for each in CATEGORIES[column] if not each.endswith(" service")]
    if name not in names:
        raise UserError(f"'{name}' is no category of {column} that can drift", where="--drift", remedy=f"one of {', '.join(names)}")
    return names.index(name)
