"""The customers that are scored: one Parquet file, as a warehouse would export it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.serving import model

GROUP_ROWS = 2**16
DISTINCT_GROUPS = 16
"""Row groups of different customers; beyond, the same ones come again under other ids."""


def write(path: Path, rows: int) -> Path:
    """Writes the table unless it is there."""
    if path.exists():
        return path
    contract, random = model.load_contract(), np.random.default_rng(5)
    made: list[pa.Table] = []
    with pq.ParquetWriter(path.with_suffix(".part"), _schema(), compression="zstd") as writer:
        for number, first in enumerate(range(0, rows, GROUP_ROWS)):
            if len(made) < DISTINCT_GROUPS:
                made.append(pa.table(model._columns(contract, GROUP_ROWS, random)))
            count = min(GROUP_ROWS, rows - first)
            ids = pa.array([f"C{row:08}" for row in range(first, first + count)])
            columns = made[number % DISTINCT_GROUPS].slice(0, count)
            writer.write_table(columns.add_column(0, "customer_id", ids).cast(_schema()))
    path.with_suffix(".part").rename(path)
    return path


def _schema() -> pa.Schema:
    contract = model.load_contract()
    kinds = {"category": pa.string(), "integer": pa.int64(), "number": pa.float64()}
    return pa.schema(
        [("customer_id", pa.string()), *((name, kinds[column.type]) for name, column in contract.columns.items())]
    )
