"""What `churn data generate` does: one snapshot, or a base over months, into one file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from churn.domain.synthetic import files, scenarios, snapshot
from churn.domain.synthetic.blocks import require
from churn.domain.synthetic.columns import TARGET
from churn.domain.synthetic.drift import WHERE, parse
from churn.domain.synthetic.population import START, Population


class GenerationReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was written: `churned` rows are labelled Yes; of `unlabelled` ones the outcome is never known."""

    path: str
    rows: int
    customers: int
    months: int
    seed: int
    drift: str
    churned: int
    unlabelled: int


def generate(  # noqa: PLR0913 - the command's options
    customers: int, months: int, seed: int, out: Path, drift: str | None = None, *, start: date = START
) -> GenerationReport:
    """Writes `customers` rows for each month to `out`, CSV or Parquet by its suffix, in bounded memory.

    One month is the calibrated snapshot, without dates; more are a base that lives on, each row with its
    `snapshot_date`, and without a label where the customer was lost from sight before the 30 days were over. Raises
    UserError for numbers out of range, an unknown suffix or drift, or an `out` that cannot be written; nothing is left
    behind then.
    """
    require(months > 0, f"{months} months cannot be generated", "--months", "ask for 1 or more")
    latest = parse(drift).latest
    require(
        latest <= months,
        f"a drift begins in month {latest}, after the last",
        WHERE,
        f"begin it with @{months} or before",
    )
    tally = _Tally()
    files.write(tally.counted(_rows(customers, months, seed, drift, start)), out)
    named = drift or scenarios.QUIET
    return GenerationReport(str(out), tally.rows, customers, months, seed, named, tally.churned, tally.unlabelled)


class _Tally:
    """Counts what passes."""

    def __init__(self) -> None:
        self.rows = self.churned = self.unlabelled = 0

    def counted(self, source: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in source:
            self.rows += batch.num_rows
            self.churned += pc.sum(pc.equal(batch[TARGET], "Yes")).as_py() or 0
            self.unlabelled += batch[TARGET].null_count
            yield batch


def _rows(customers: int, months: int, seed: int, drift: str | None, start: date) -> Iterator[pa.RecordBatch]:
    if months == 1:
        yield from snapshot.batches(customers, seed, drift)
        return
    population = Population(customers, seed, drift, start)
    yield from population.batches()
    for _ in range(months - 1):
        population.advance()
        yield from population.batches()
