"""What a read by id costs, directly and through Feast. Run by hand: .venv/bin/python -m tests.benchmarks.online_read

Thirty columns (10 categories, 6 integers, 14 numbers), a thousand customers, uvloop; p50, p99 and CPU of this process a
read, each kind taking turns with the others. Feast is called in this thread, which a server could not do."""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from churn.domain import contract as contracts
from churn.domain.contract import Column, Contract
from churn.stores.settings import Settings
from feature_repo.direct.reader import open_reader
from feature_repo.frozen import freeze
from feature_repo.online import OnlineFeatures
from tests.bundles import remember
from tests.servers import redis_server

CUSTOMERS = 1000
ROUNDS = 5
say = sys.stdout.write
LABELS = ("basic", "plus", "family", "business")

Ask = Callable[[list[str]], Awaitable[Any]]


def _contract() -> Contract:
    made = contracts.parse("name: bench\ntarget: {column: gone, positive: 1}\ncolumns: {a: {type: number}}")
    kinds = {"category": 10, "integer": 6, "number": 14}
    columns = {
        f"{kind}_{place}": Column(type=kind, categories=LABELS if kind == "category" else ())  # type: ignore[arg-type]
        for kind, count in kinds.items()
        for place in range(count)
    }
    return msgspec.structs.replace(made, columns=columns)


def _customers(made: Contract) -> dict[str | int, dict[str, Any]]:
    draw = random.Random(7)
    values = {
        "category": lambda: draw.choice(LABELS),
        "integer": lambda: draw.randrange(2000),
        "number": lambda: draw.uniform(0, 900),
    }
    return {
        f"customer-{number:05}": {name: values[column.type]() for name, column in made.columns.items()}
        for number in range(CUSTOMERS)
    }


def _ways(folder: Path, redis: str, made: Contract) -> dict[str, Ask]:
    """How to ask, by what asks; both stores are filled."""
    ways: dict[str, Ask] = {}
    for name, env in (("Redis", {"CHURN_ONLINE_STORE": redis}), ("SQLite", {})):
        settings = Settings.load({"CHURN_HOME": str(folder / name), **env}).prepare()
        remember(settings, made, _customers(made))
        ways[f"direct on {name}"] = open_reader(settings, made, freeze(made), deadline=10).read
        ways[f"Feast on {name}"] = _feast(OnlineFeatures(settings, made))
    return ways


def _feast(features: OnlineFeatures) -> Ask:
    async def ask(ids: list[str]) -> Any:
        return features.read(ids)

    return ask


async def _take(ask: Ask, ids: int, reads: int, callers: int = 1) -> tuple[list[float], float]:
    """Microseconds of each read, and of CPU a read."""
    draw = random.Random(ids)
    wanted = iter([[f"customer-{draw.randrange(CUSTOMERS):05}" for _ in range(ids)] for _ in range(reads)])
    taken: list[float] = []

    async def caller() -> None:
        for some in wanted:
            start = time.perf_counter()
            await ask(some)
            taken.append((time.perf_counter() - start) * 1e6)

    cpu = time.process_time()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return taken, (time.process_time() - cpu) / reads * 1e6


async def _measure(ways: dict[str, Ask]) -> None:
    for ids, callers, reads in ((1, 1, 1000), (100, 1, 40), (1, 8, 2000), (1, 32, 2000)):
        say(f"-- {ids} id{'s' if ids > 1 else ''} a read, {callers} at a time\n")
        some = {name: ask for name, ask in ways.items() if callers == 1 or name.startswith("direct")}
        found: dict[str, list[tuple[list[float], float]]] = {name: [] for name in some}
        for turn in range(ROUNDS + 1):
            for name, ask in some.items():
                few = max(20, reads // 10) if name.startswith("Feast") else reads
                measured = await _take(ask, ids, few, callers)
                if turn:  # the first warms up
                    found[name].append(measured)
        for name, rounds in found.items():
            taken = [one for part, _ in rounds for one in part]
            cuts = statistics.quantiles(taken, n=100)
            cpu = statistics.median(cpu for _, cpu in rounds)
            say(f"{name:<17} p50 {cuts[49]:9.1f} us  p99 {cuts[98]:9.1f} us  CPU {cpu:9.1f} us\n")


def main() -> None:
    """Prints the figures."""
    made = _contract()
    with tempfile.TemporaryDirectory() as folder, redis_server() as redis:
        uvloop.run(_measure(_ways(Path(folder), redis, made)))


if __name__ == "__main__":
    main()
