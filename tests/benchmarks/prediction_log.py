# ruff: noqa: T201 - it is run by hand, to be read
"""What the prediction log costs. Run by hand: .venv/bin/python -m tests.benchmarks.prediction_log

Prints microseconds an `append`, in both durabilities, while the log's threads write and ship; and rows a second from
the spool into SQLite and PostgreSQL."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from churn.stores.database import migrate
from churn.stores.prediction_log.log import PredictionLog
from churn.stores.prediction_log.records import Layout, LayoutColumn, Logged, LogOptions, new_record
from churn.stores.prediction_log.segments import Batch
from churn.stores.prediction_log.sinks import sink
from tests.servers import free_port, postgres_server

LAYOUT = Layout("ab" * 32, "telco", tuple(LayoutColumn(f"feature_{place}", "number") for place in range(30)))


def _record(rows: int, number: int = 0) -> Logged:
    values = np.random.default_rng(number)
    return Logged(
        new_record(), f"{number:032x}", time.time(), "telco", 3, "champion", False, 0.4, 1.5, LAYOUT.digest,
        [new_record() for _ in range(rows)], values.random(rows).tobytes(), bytes(rows),
        values.normal(size=(rows, 30)).tobytes(),
    )  # fmt: skip


def _append(url: str, durability: str, rows: int, count: int, pause_s: float) -> None:
    with tempfile.TemporaryDirectory() as spool:
        log = PredictionLog(LogOptions(url, Path(spool), durability))  # type: ignore[arg-type]
        log.add_layout(LAYOUT)
        records = [_record(rows, number) for number in range(count)]
        taken, cpu = [], time.process_time()
        for record in records:
            start = time.perf_counter()
            log.append(record)
            taken.append((time.perf_counter() - start) * 1e6)
            time.sleep(pause_s)
        log.close(5)
        cpu = (time.process_time() - cpu) / count * 1e6
        lost = log.status().lost_rows
    p99 = statistics.quantiles(taken, n=100)[98]
    print(
        f"append, {durability}, {rows:>5} rows: median {statistics.median(taken):6.1f} us, mean "
        f"{statistics.mean(taken):6.1f} us, p99 {p99:6.1f} us; all threads {cpu:7.1f} us a record; lost {lost}"
    )


def _ship(url: str, rows: int, count: int) -> None:
    records = [_record(rows, number) for number in range(count)]
    database = sink(url)
    database.insert(Batch([_record(1)], {LAYOUT.digest: LAYOUT}, 1))
    start = time.perf_counter()
    step = max(1, 20_000 // rows)
    for first in range(0, count, step):
        some = records[first : first + step]
        database.insert(Batch(some, {LAYOUT.digest: LAYOUT}, rows * len(some)))
    taken = time.perf_counter() - start
    print(f"shipped to {url.partition(':')[0]}, records of {rows:>5} rows: {rows * count / taken:9,.0f} rows/s")


def main() -> None:
    """Prints the figures."""
    with tempfile.TemporaryDirectory() as folder, postgres_server() as postgres:
        migrate(postgres)
        away = f"postgresql://churn@127.0.0.1:{free_port()}/churn"
        for name, url in (("PostgreSQL", postgres), ("no database", away)):
            print(f"-- {name}")
            for durability in ("batched", "durable"):
                _append(url, durability, 1, 5000, 0.0002)
                _append(url, durability, 1000, 200, 0.005)
        print("-- shipping")
        for url in (postgres, f"sqlite:///{folder}/log.db"):
            _ship(url, 1, 40_000)
            _ship(url, 1000, 200)


if __name__ == "__main__":
    main()
