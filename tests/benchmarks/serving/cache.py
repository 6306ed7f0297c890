"""Would a cache of predictions pay? What it costs to ask Redis for an answer, beside the cost of making it anew.

    python -m tests.benchmarks.serving.cache

A cache in front of the model needs a key of all features, a read, and on a miss a write that lives for 5 minutes. The
connection is the one that reads the online store: the cheapest there is here."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import uvloop

from churn.domain import bundle
from churn.domain.scoring import Scorer
from feature_repo.direct.redis_link import Address, Link, packed
from tests.benchmarks.serving import model
from tests.servers import redis_server

ROUNDS, CALLS = 7, 2000
LIVES_S = 300
DEADLINE_S = 1.0


async def measured(call: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Microseconds of CPU in this process and of time, of one call among many in a row."""
    cpu, started = time.process_time(), time.perf_counter()
    for _ in range(CALLS):
        await call()
    return (time.process_time() - cpu) / CALLS * 1e6, (time.perf_counter() - started) / CALLS * 1e6


async def compare(folder: Path, url: str) -> None:
    """Prints the medians of some rounds, taken in turn."""
    opened = bundle.load(folder)
    scorer = Scorer.of(opened)
    row = np.zeros((1, len(opened.contract.raw)))
    link = Link(Address.of(url), DEADLINE_S)
    key = hashlib.blake2b(row.tobytes(), digest_size=16).digest()
    await link.ask(packed(b"SET", key, b"x" * 200, b"EX", str(LIVES_S).encode()), 1, DEADLINE_S)

    async def hit() -> object:
        key = hashlib.blake2b(row.tobytes(), digest_size=16).digest()
        return await link.ask(packed(b"GET", key), 1, DEADLINE_S)

    async def compute() -> object:
        return scorer.probability(row)

    found: dict[str, list[tuple[float, float]]] = {"a cached answer": [], "the model itself": []}
    for _ in range(ROUNDS):
        found["a cached answer"].append(await measured(hit))
        found["the model itself"].append(await measured(compute))
    print(f"{'us a single row':20} {'CPU':>8} {'time':>8}")  # noqa: T201
    for name, rounds in found.items():
        cpu, wall = np.median(np.array(rounds), axis=0)
        print(f"{name:20} {cpu:8.1f} {wall:8.1f}")  # noqa: T201


def main() -> None:
    """Trains the benchmark's model, starts a Redis, compares."""
    with tempfile.TemporaryDirectory() as folder, redis_server() as redis:
        trained = model.train(Path(folder))
        uvloop.run(compare(trained.folder, redis))


if __name__ == "__main__":
    main()
