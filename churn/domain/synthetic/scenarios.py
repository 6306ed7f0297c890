"""Changes of the world with a name: values and the law of churn together, as they do in life."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from churn.domain.synthetic.columns import FIBER
from churn.domain.synthetic.customers import Customers, Floats

QUIET = "quiet"
"""The scenario in which nothing happens."""

Alter = Callable[[Customers], None]
Logit = Callable[[Customers], Floats]


@dataclass(frozen=True)
class Scenario:
    """Each part takes the scenario's size; a part it lacks stays as it was."""

    story: str
    size: float
    world: Callable[[float], Alter] | None = None
    law: Callable[[float], Logit] | None = None
    record: Callable[[float], Alter] | None = None


def _rise(size: float) -> Alter:
    def raise_price(customers: Customers) -> None:
        customers.monthly = customers.monthly * np.float32(1 + size)

    return raise_price


def _resent(size: float) -> Logit:
    return lambda customers: 0.15 * size * (customers.monthly - 55)


def _answer(size: float) -> Alter:
    def discount_fiber(customers: Customers) -> None:
        fiber = customers.codes["InternetService"] == FIBER
        customers.monthly = np.where(fiber, customers.monthly * np.float32(1 - 0.15 * size), customers.monthly)

    return discount_fiber


def _poach(size: float) -> Logit:
    internet, contract = np.array([1.6, -0.4, 0.3]), np.array([0.0, 1.2, 2.2])
    return lambda customers: size * (internet[customers.codes["InternetService"]] + contract[customers.codes["Contract"]])


def _cents(size: float) -> Alter:
    def report_in_cents(customers: Customers) -> None:
        customers.monthly = customers.monthly * np.float32(size)

    return report_in_cents


KNOWN = {
    "price-rise": Scenario("everyone pays SIZE more, and the dearer the bill the likelier they leave", 0.3, _rise, _resent),
    "new-competitor": Scenario("a rival lures DSL customers and buys out contracts; fiber gets cheaper", 1.0, _answer, _poach),
    "data-bug": Scenario("monthly charges are reported SIZE times too high: cents for dollars", 100.0, record=_cents),
}
