"""How the world may change, and how a user says so.

A specification is a comma-separated list of changes, each from month MONTH on (the first is 1):

    tenure+0.3@6                              a number rises (or falls, with -) by 0.3 standard deviations
    PaymentMethod=Electronic check+0.1@6      10 percent of all customers move to that category
    price-rise@6:0.3                          a scenario, from MONTH (default 5), of SIZE (default its own)

A plain change of a column leaves the law of churn alone: it applies to the changed values. A scenario changes what it
says: what customers are, why they leave, or only what the table reports of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from churn.domain.errors import UserError
from churn.domain.synthetic import scenarios, shifts
from churn.domain.synthetic.customers import Customers, Floats
from churn.domain.synthetic.effects import Alter, Effect

START = 5
"""The month a scenario begins when the specification names none."""

WHERE = "--drift"

_SHIFT = re.compile(r"(?P<column>\w+)(=(?P<category>.+?))?(?P<size>[+-]\d*\.?\d+)@(?P<month>\d+)")
_SCENARIO = re.compile(r"(?P<name>[a-z-]+)(@(?P<month>\d+))?(:(?P<size>\d*\.?\d+))?")


@dataclass(frozen=True)
class Change:
    """An effect in force from `month` on."""

    month: int
    effect: Effect


@dataclass(frozen=True)
class Drift:
    """The changes of a specification, in its order."""

    changes: tuple[Change, ...] = ()

    def delayed(self, months: int) -> Drift:
        """The same, each change so many months later."""
        return Drift(tuple(replace(change, month=change.month + months) for change in self.changes))

    @property
    def latest(self) -> int:
        """The month in which the last of the changes begins; 0 when there is none."""
        return max((change.month for change in self.changes), default=0)

    def world(self, customers: Customers, month: int) -> Customers:
        """The customers as they are in `month`, a copy where anything changes."""
        return _altered(customers, [effect.world for effect in self._now(month)])

    def law(self, customers: Customers, month: int) -> Floats:
        """What is added to the logit of churn of `world`'s customers, (n,)."""
        total = np.zeros(len(customers))
        for effect in self._now(month):
            if effect.law:
                total += effect.law(customers)
        return total

    def record(self, customers: Customers, month: int) -> Customers:
        """`world`'s customers as a table of `month` reports them."""
        return _altered(customers, [effect.record for effect in self._now(month)])

    def _now(self, month: int) -> list[Effect]:
        return [change.effect for change in self.changes if change.month <= month]


def parse(spec: str | None) -> Drift:
    """The drift a specification describes; None is quiet. Raises UserError for a specification without meaning."""
    items = [item.strip() for item in (spec or scenarios.QUIET).split(",")]
    return Drift(tuple(_change(item) for item in items if item != scenarios.QUIET))


def _altered(customers: Customers, parts: list[Alter | None]) -> Customers:
    steps = [part for part in parts if part]
    view = customers.view() if steps else customers
    for step in steps:
        step(view)
    return view


def _change(item: str) -> Change:
    if found := _SHIFT.fullmatch(item):
        column, category, size = found["column"], found["category"], float(found["size"])
        effect = shifts.number(column, size) if category is None else shifts.category(column, category, size)
        return Change(_month(item, found["month"]), effect)
    found = _SCENARIO.fullmatch(item)
    if not found or found["name"] not in scenarios.KNOWN:
        raise UserError(f"the drift '{item}' is not known", where=WHERE, remedy=f"write {_known()}")
    scenario = scenarios.KNOWN[found["name"]]
    size = scenario.size if found["size"] is None else float(found["size"])
    return Change(_month(item, found["month"]), scenario.effect(size))


def _month(item: str, month: str | None) -> int:
    if month is not None and int(month) < 1:
        raise UserError(f"the drift '{item}' begins before the first month", where=WHERE, remedy="count from 1")
    return START if month is None else int(month)


def _known() -> str:
    names = ", ".join([scenarios.QUIET, *scenarios.KNOWN])
    return f"a scenario ({names}), COLUMN+SHIFT@MONTH in standard deviations, or COLUMN=CATEGORY+SHARE@MONTH"
