"""Changes with a story: what customers are and why they leave move together, as they do in life."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from churn.domain.synthetic.columns import FIBER
from churn.domain.synthetic.customers import Customers, Floats
from churn.domain.synthetic.effects import Effect

QUIET = "quiet"
"""The scenario in which nothing happens."""


@dataclass(frozen=True)
class Scenario:
    """`effect` makes what happens from a size, `size` unless the user names one."""

    story: str
    size: float
    effect: Callable[[float], Effect]


def _price_rise(size: float) -> Effect:
    def raised(customers: Customers) -> None:
        customers.monthly = customers.monthly * np.float32(1 + size)

    def resented(customers: Customers) -> Floats:
        above: Floats = np.subtract(customers.monthly, 90, dtype=np.float64)
        return above * 0.2 * size

    return Effect(raised, resented)


def _new_competitor(size: float) -> Effect:
    internet, contract = np.array([1.6, -0.4, 0.3]), np.array([0.0, 1.2, 2.2])

    def discounted(customers: Customers) -> None:
        fiber = customers.codes["InternetService"] == FIBER
        customers.monthly = np.where(
            fiber, customers.monthly * np.float32(max(1 - 0.15 * size, 0.1)), customers.monthly
        )

    def poached(customers: Customers) -> Floats:
        lured: Floats = internet[customers.codes["InternetService"]] + contract[customers.codes["Contract"]]
        return size * lured

    return Effect(discounted, poached)


def _data_bug(size: float) -> Effect:
    def misreported(customers: Customers) -> None:
        customers.tenure = np.ceil(customers.tenure / size).astype(np.uint8)

    return Effect(record=misreported)


KNOWN = {
    "price-rise": Scenario("everyone pays SIZE more, and a dear bill drives people away", 0.3, _price_rise),
    "new-competitor": Scenario("a rival lures DSL customers and buys out contracts", 1.0, _new_competitor),
    "data-bug": Scenario("the time with the company is reported SIZE times too low: in years begun", 12.0, _data_bug),
}
