"""Changes of one column: a number by standard deviations, a category by its share. The law of churn stays."""

from __future__ import annotations

import zlib

import numpy as np

from churn.domain.errors import UserError
from churn.domain.synthetic.columns import CATEGORIES
from churn.domain.synthetic.customers import Customers, Floats, Mask, Serials, list_price, typical
from churn.domain.synthetic.effects import Effect
from churn.domain.synthetic.tenure import LONGEST

SPREAD = {"tenure": 24.4, "MonthlyCharges": 28.1, "TotalCharges": 1800.0}
"""Standard deviations of the numbers in the base."""

_WHERE = "--drift"


def number(column: str, size: float) -> Effect:
    """Moves a number by `size` standard deviations; tenure stays within its bounds, charges at 0 or more."""
    if column not in SPREAD:
        raise UserError(f"'{column}' is no number", where=_WHERE, remedy=f"the numbers are {', '.join(SPREAD)}")
    distance = size * SPREAD[column]

    def move(customers: Customers) -> None:
        if column == "tenure":
            months = customers.tenure.astype(np.int64) + round(distance)
            billed = (
                customers.tenure > 0
            )  # who was never billed stays so, for there is no total; and the other way round
            customers.tenure = np.where(billed, np.clip(months, 1, LONGEST), 0).astype(np.uint8)
        elif column == "MonthlyCharges":
            customers.monthly = np.maximum(customers.monthly + np.float32(distance), 0)
        else:
            customers.total = np.maximum(customers.total + np.float32(distance), 0)

    return Effect(move)


def category(column: str, name: str, share: float) -> Effect:
    """Moves `share` of all customers to a category, at random from those who could have it and do not."""
    code = _code(column, name)
    most = float(_movable(typical(), column, code).mean())
    if not 0 < share <= most:
        problem = f"a share of {share:g} cannot move to {column}={name}"
        raise UserError(problem, where=_WHERE, remedy=f"it must be above 0 and at most {most:.2f}")

    def move(customers: Customers) -> None:
        before = list_price(customers)
        moved = _movable(customers, column, code) & (luck(customers.serial, column) < share / most)
        customers.codes[column] = np.where(moved, np.uint8(code), customers.codes[column])
        customers.monthly = customers.monthly + list_price(customers) - before

    return Effect(move)


def luck(serial: Serials, column: str) -> Floats:
    """A number in [0, 1) for each customer that never changes, (n,): the finaliser of SplitMix64 over the serial."""
    x = serial.astype(np.uint64) + np.uint64(zlib.crc32(column.encode()) << 31)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)).astype(np.float64) / 2.0**53


def _movable(customers: Customers, column: str, code: int) -> Mask:
    """Who could have the category and does not: without internet nobody has a service that needs it."""
    shown = customers.shown(column)
    movable: Mask = (shown != code) & (shown == customers.codes[column])
    return movable


def _code(column: str, name: str) -> int:
    if column not in CATEGORIES:
        raise UserError(f"'{column}' has no categories", where=_WHERE, remedy=f"these have: {', '.join(CATEGORIES)}")
    names = [each for each in CATEGORIES[column] if not each.endswith(" service")]
    if name not in names:
        remedy = f"one of {', '.join(names)}"
        raise UserError(f"'{name}' is no category of {column} that customers can move to", where=_WHERE, remedy=remedy)
    return names.index(name)
