# ruff: noqa: T201 - it is run by hand, to be read
"""Where the time of a row goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq

from churn.domain import bundle as bundles
from components.score import step
from components.score.plan import Shard
from components.score.rows import Judge

_TIMES = 7


def measure(folder: Path, table: Path) -> None:
    """Prints the parts, and how much of all the booster itself takes."""
    bundle = bundles.load(folder / "bundle")
    judge = Judge(bundle, told=False)
    judge.warm()
    shard = Shard(0, 0, min(200_000, pq.read_metadata(table).num_rows))
    _, rows = next(step._batches(judge, table, shard))
    columns = judge._encoder.encode(rows)[0]
    design = bundle.design.run(columns)[0]
    p = judge._many(columns)
    scored = judge.judge(rows, 0).scores
    booster = judge._scorer._booster

    def written() -> None:
        with TemporaryDirectory(dir=folder) as out, step._writer(Path(out, "part"), judge.schema) as writer:
            for _ in range(4):
                writer.write_table(scored)

    parts: dict[str, tuple[Callable[[], object], int]] = {
        "read": (lambda: list(step._batches(judge, table, shard)), shard.end),
        "encode": (lambda: judge._encoder.encode(rows), len(columns)),
        "identify": (lambda: judge._identified(rows), len(columns)),
        "design": (lambda: bundle.design.run(columns), len(columns)),
        "booster": (lambda: booster.inplace_predict(design, validate_features=False), len(columns)),
        "advise": (lambda: judge._advice.columns(columns, p), len(columns)),
        "write": (written, 4 * len(columns)),
    }
    costs = {name: _cost(call) / count * 1e6 for name, (call, count) in parts.items()}
    for name, cost in costs.items():
        print(f"{name:<10}{cost:>8.3f}")
    total = sum(costs.values())
    print(f"{'together':<10}{total:>8.3f}, of which the booster is {costs['booster'] / total:.0%}, the limit")


def _cost(call: Callable[[], object]) -> float:
    """Seconds of CPU, the best of some."""
    found = []
    for _ in range(_TIMES):
        began = time.process_time()
        call()
        found.append(time.process_time() - began)
    return min(found)
