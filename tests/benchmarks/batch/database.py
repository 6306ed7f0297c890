# ruff: noqa: T201 - it is run by hand, to be read
"""What the table of scores costs: a run written for the first time, and the next one over it."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from churn.stores import scores
from churn.stores.database import migrate
from tests.servers import postgres_server

BATCH_ROWS = 2**16


def measure(folder: Path, rows: int) -> None:
    """Prints rows a second on both databases."""
    with postgres_server() as postgres:
        for name, url in (("PostgreSQL", postgres), ("SQLite", f"sqlite:///{folder}/scores.db")):
            migrate(url)
            for what, day in (("first run", 1), ("next run", 2)):
                began = time.perf_counter()
                scores.upsert(url, scores.Run("bench", dt.date(2026, 1, day), 1, "customers"), _batches(rows))
                print(f"{name:<11} {what:<10} {rows / (time.perf_counter() - began):>10,.0f} rows/s")


def _batches(rows: int) -> Iterator[pa.Table]:
    for first in range(0, rows, BATCH_ROWS):
        count = min(BATCH_ROWS, rows - first)
        p = np.random.default_rng(first).beta(1, 4, count)
        columns = {
            "customer": pa.array([f"C{row:08}" for row in range(first, first + count)]),
            "event_timestamp": pa.nulls(count),
            "probability": pa.array(p),
            "decision": pa.array(p > 0.2),
            "risk": pa.array(np.where(p > 0.6, "high", "low")),
            "recommendation": pa.repeat(pa.scalar("Call within a week with a retention offer."), count),
            "reasons": pa.nulls(count),
        }
        yield pa.table(columns).cast(scores.GIVEN)
