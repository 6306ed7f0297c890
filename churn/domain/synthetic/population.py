"""A base of customers that lives from month to month: who is there, who leaves, who comes."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from churn.domain.synthetic import drift, law, lifecycle, table
from churn.domain.synthetic.blocks import Plot, plots
from churn.domain.synthetic.columns import KEY, TARGET, TIMESTAMP
from churn.domain.synthetic.customers import (
    HABITS,
    TOTAL_NOISE,
    Codes,
    Customers,
    Dollars,
    Floats,
    billed,
    draw_base,
    draw_cells,
    draw_lines,
    draw_payment,
)
from churn.domain.synthetic.tenure import LONGEST

HORIZON = timedelta(days=30)
"""How long after its snapshot an outcome is known."""

START = date(2025, 1, 1)
"""The date of month one."""


class Block:
    """The customers of one plot in one month. What becomes of them is settled when the month begins."""

    def __init__(self, plot: Plot, world: drift.Drift) -> None:
        self._plot, self._world = plot, world
        self._born = plot.size
        self._members = draw_base(plot.rng, plot.serials(0, plot.size))
        self.month = 1
        self._fate = self._settle()

    @property
    def customers(self) -> Customers:
        """The customers as they are this month."""
        return self._world.world(self._members, self.month)

    @property
    def probability(self) -> Floats:
        """The true chance of each to churn this month, (n,)."""
        customers = self.customers
        return law.sigmoid(law.logit(customers, "monthly") + self._world.law(customers, self.month))

    def batch(self, seed: int, day: date) -> pa.RecordBatch:
        """The snapshot of this month, labelled; `seed` chooses the ids."""
        recorded = self._world.record(self.customers, self.month)
        rows = table.dated(table.features(recorded, seed), day)
        return table.labelled(rows, self._fate == lifecycle.CHURNS, self._fate == lifecycle.EXITS)

    def advance(self) -> None:
        """To the next month: bills, new contracts, newcomers in the place of those who left."""
        rng, members, fate = self._plot.rng, self._members, self._fate
        _bill(rng, members, self.customers.monthly)
        members.tenure = lifecycle.aged(members.tenure)
        changed = np.flatnonzero(fate >= lifecycle.CHANGES)
        contract = fate[changed] - lifecycle.CHANGES
        members.codes["Contract"][changed] = contract
        members.codes["PaymentMethod"][changed] = draw_payment(rng, contract)
        self._replace(np.flatnonzero((fate == lifecycle.CHURNS) | (fate == lifecycle.EXITS)))
        self.month += 1
        self._fate = self._settle()

    def _replace(self, left: npt.NDArray[np.intp]) -> None:
        """Newcomers have the habits of those who left, and a contract, lines and bills of their own."""
        rng, members, rates = self._plot.rng, self._members, lifecycle.turnover()
        contract, tenure = draw_cells(rng, len(left), rates.entry)
        habits = {name: members.codes[name][left] for name in HABITS}
        serials = self._plot.serials(self._born, len(left))
        members.put(left, billed(rng, serials, tenure, habits | draw_lines(rng, contract, rates.internet)))
        self._born += len(left)

    def _settle(self) -> Codes:
        usual = law.sigmoid(law.logit(self._members, "monthly"))
        return lifecycle.fates(self._plot.rng, self._members, usual, self.probability)


class Population:
    """`customers` at any time, from month one on; see `drift` for the specification. Raises UserError for a
    specification without meaning and for numbers out of range. Nobody's id is ever another's.

    Before what the specification calls month one, the base lives for `before` months in which nothing changes."""

    def __init__(
        self, customers: int, seed: int, spec: str | None = None, start: date = START, *, before: int = 0
    ) -> None:
        world = drift.parse(spec).delayed(before)
        self._blocks = [Block(plot, world) for plot in plots(customers, seed)]
        self._seed, self._start = seed, start

    @property
    def month(self) -> int:
        """The month it is, from 1, which is the first of those `before`."""
        return self._blocks[0].month

    @property
    def snapshot_date(self) -> date:
        """The day of the month's snapshot: that of the first, or the month's last where it is shorter."""
        years, month = divmod(self._start.month + self.month - 2, 12)
        year = self._start.year + years
        return date(year, month + 1, min(self._start.day, monthrange(year, month + 1)[1]))

    @property
    def probability(self) -> Floats:
        """The true chance of each customer to churn this month, (n,), in the table's order."""
        return np.concatenate([block.probability for block in self._blocks])

    def advance(self) -> None:
        """To the next month."""
        for block in self._blocks:
            block.advance()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The month's snapshot with its labels, block by block."""
        for block in self._blocks:
            yield block.batch(self._seed, self.snapshot_date)

    def labelled(self) -> pa.Table:
        """The month's snapshot with the labels that will be known 30 days later; null for who left without one."""
        return pa.Table.from_batches(self.batches())

    def table(self) -> pa.Table:
        """The month's snapshot as it is seen on its day, without labels."""
        return self.labelled().drop_columns([TARGET])

    def outcomes(self) -> pa.Table:
        """What is known 30 days after the snapshot: customerID, snapshot_date, outcome_date, Churn. Who left without a
        label is not in it."""
        known = self.labelled().select([KEY, TIMESTAMP, TARGET]).drop_null()
        when = pa.scalar(self.snapshot_date + HORIZON).cast(table.UTC)
        return known.add_column(2, "outcome_date", pa.repeat(when, known.num_rows))


def _bill(rng: np.random.Generator, members: Customers, monthly: Dollars) -> None:
    """Adds a month to the totals; at the cap of tenure the oldest drops out, so that totals do not grow for good."""
    kept = np.where(members.tenure == LONGEST, np.float32(1 - 1 / LONGEST), np.float32(1))
    deviation = np.float32(TOTAL_NOISE) * rng.standard_normal(len(members), np.float32)
    members.total = np.maximum(members.total * kept + monthly * (1 + deviation), 0)
