"""The world: who is a customer in which month, and what becomes of whom. What changes in it nobody else is told."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn.domain.synthetic import drift
from churn.domain.synthetic.columns import KEY, TARGET
from churn.domain.synthetic.population import Population

START = dt.date(2025, 1, 1)
"""The day of the year's first snapshot."""

HISTORY = 6
"""Months before it, whose outcomes are all known by then: the first champion learns from half a year."""


@dataclass(frozen=True)
class Month:
    """A snapshot of n customers on `day`, and what the month makes of them: `left` (n,), NaN of whom nobody learns it.

    `number` is counted from the year's first month; the months before it have 0 and less. `outcomes` is the table that
    is known 30 days later."""

    number: int
    day: dt.date
    labelled: pa.Table
    outcomes: pa.Table

    @property
    def customers(self) -> pa.Table:
        """The snapshot as it is seen on its day."""
        return self.labelled.drop_columns([TARGET])

    @property
    def keys(self) -> list[str]:
        """Who they are, in the table's order."""
        keys: list[str] = self.labelled[KEY].to_pylist()
        return keys

    @property
    def left(self) -> npt.NDArray[np.float64]:
        """1 for who leaves, 0 for who stays, NaN for who is lost from sight, (n,)."""
        word = self.labelled[TARGET]
        known = pc.if_else(pc.is_valid(word), pc.equal(word, "Yes").cast(pa.float64()), pa.scalar(np.nan))
        return np.asarray(known.to_numpy(), np.float64)


def months(customers: int, seed: int, scenario: str, count: int) -> Iterator[Month]:
    """The months of history, and `count` of the year. Raises UserError for a scenario without meaning."""
    population = Population(customers, seed, scenario, _earlier(START, HISTORY), before=HISTORY)
    for number in range(1 - HISTORY, count + 1):
        yield Month(number, population.snapshot_date, population.labelled(), population.outcomes())
        if number < count:
            population.advance()


def injected(scenario: str) -> int | None:
    """The month in which the first change begins; None where nothing changes."""
    return min((change.month for change in drift.parse(scenario).changes), default=None)


def _earlier(day: dt.date, months: int) -> dt.date:
    years, month = divmod(day.month - 1 - months, 12)
    return dt.date(day.year + years, month + 1, day.day)
