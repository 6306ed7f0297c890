"""One snapshot, calibrated on the IBM sample: no past, no dates, 25.7 % leavers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from churn.domain.synthetic import drift, law, table
from churn.domain.synthetic.blocks import plots
from churn.domain.synthetic.customers import Customers, Floats, draw_base


def snapshot(customers: int, seed: int, spec: str | None = None) -> pa.Table:
    """The table of the sample with `customers` rows; `spec` as in `drift`, of which month 1 shows."""
    return pa.Table.from_batches(batches(customers, seed, spec))


def batches(customers: int, seed: int, spec: str | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of `snapshot` in bounded memory. Raises UserError as `drift.parse` and `blocks.plots` do."""
    world = drift.parse(spec)
    for plot in plots(customers, seed):
        members = world.world(draw_base(plot.rng, plot.serials(0, plot.size)), month=1)
        churned = plot.rng.random(plot.size) < probability(members, world)
        rows = table.features(world.record(members, month=1), seed)
        yield table.labelled(rows, churned, unknown=np.zeros(plot.size, np.bool_))


def probability(members: Customers, world: drift.Drift) -> Floats:
    """The true chance of each to leave, (n,)."""
    return law.sigmoid(law.logit(members, "snapshot") + world.law(members, month=1))
