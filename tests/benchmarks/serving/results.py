"""What a run has found, as it is written to JSON, and the issue's targets beside it."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.benchmarks.serving import loaders
from tests.benchmarks.serving.limits import Cache, Limit
from tests.benchmarks.serving.measure import Burst, Measured
from tests.benchmarks.serving.scenarios import BATCH_1000, BY_ID, NAIVE, SINGLE, TWO, WITH_WORKERS, WORKERS

LIBRARIES = ("fastapi", "uvicorn", "uvloop", "httptools", "pydantic", "pandas", "scikit-learn", "xgboost-cpu")
LIBRARIES += ("kserve", "grpcio", "onnxruntime", "numpy", "orjson", "msgspec")


@dataclass(frozen=True)
class Series:
    """All contestants of a scenario at one number of connections."""

    scenario: str
    title: str
    size: int
    connections: int
    measured: dict[str, Measured]


@dataclass(frozen=True)
class Paced:
    """A paced load at half of what a contestant answered at most."""

    contestant: str
    wanted: float
    bursts: Sequence[Burst]


@dataclass(frozen=True)
class Counts:
    """What one of our servers says it has answered and logged, beside the customers that got an answer from it.

    A loader does not count what is under way when it stops, so a server says a little more."""

    server: str
    asked: int
    said: dict[str, float]


@dataclass
class Results:
    """A whole run; `notes` are what a reader has to know."""

    model: str
    started: str
    machine: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    differences: dict[str, float] = field(default_factory=dict)
    series: list[Series] = field(default_factory=list)
    paced: list[Paced] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)
    cache: Cache | None = None
    counts: list[Counts] = field(default_factory=list)
    logged_rows: int = 0
    memory_mb: dict[str, list[float]] = field(default_factory=dict)
    starts_s: list[float] = field(default_factory=list)
    imports_s: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Target:
    """One line of the issue: what was measured, the bound, and whether it is met."""

    words: str
    measured: float
    bound: float
    at_least: bool

    @property
    def met(self) -> bool:
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound


def machine() -> dict[str, Any]:
    """Where this was measured."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    return {
        "cpu": cpu.partition(":")[2].strip() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(int(memory.split()[1]) / 2**20),
        "system": platform.platform(),
        "python": platform.python_version(),
        "loaders": loaders.versions(),
        "versions": {name: metadata.version(name) for name in LIBRARIES},
    }


def targets(results: Results) -> Iterator[Target]:
    """The issue's targets, those that this run can judge."""
    for one in results.series:
        yield from _ratios(one)
        if one.scenario == WORKERS:
            yield from _workers(one)
    for paced in results.paced:
        if paced.contestant != NAIVE:
            p99 = statistics.median(burst.p99_ms for burst in paced.bursts)
            yield Target("by id, p99 in ms at half the saturation", p99, 10, at_least=False)
    for server in ("ours", "ours x2"):
        if server in results.memory_mb:
            yield Target(f"resident MB a worker, {server}", max(results.memory_mb[server]), 450, at_least=False)
    if results.starts_s:
        ratio = statistics.median(results.starts_s) / statistics.median(results.imports_s)
        yield Target("ready, times the import of kserve and onnxruntime", ratio, 1.3, at_least=False)


_RATES: dict[tuple[str, int], dict[str, float]] = {
    (SINGLE, 8): {
        "ours, v1 JSON": 8,
        "ours, v2 JSON": 8,
        "ours, v2 gRPC": 4,
        BY_ID: 2,
        "ours, explained, v1 JSON": 3,
        "ours, explained, v2 JSON": 3,
    },
    (SINGLE, 32): {"ours, v1 JSON": 12, "ours, v2 JSON": 12, "ours, v2 gRPC": 4},
    (BATCH_1000, 8): {"ours, v2 binary": 10, "ours, v2 gRPC": 10},
}
"""At least so many times the naive peer's throughput, by scenario, connections and contestant."""

_LIGHTER = ("ours, v1 JSON", "ours, v2 JSON")


def _ratios(one: Series) -> Iterator[Target]:
    naive = one.measured[NAIVE]
    where = f"{one.scenario}, {one.connections} at once"
    for name, bound in _RATES.get((one.scenario, one.connections), {}).items():
        if name not in one.measured:
            continue
        ours = one.measured[name]
        yield Target(f"{name}: {where}: throughput, times naive", ours.times(naive, "rate"), bound, at_least=True)
        if name in _LIGHTER and one.connections == 8:
            yield Target(f"{name}: {where}: naive's CPU, times ours", naive.times(ours, "cpu_us"), 8, at_least=True)
        if name in _LIGHTER:
            yield Target(f"{name}: {where}: naive's p99, times ours", naive.times(ours, "p99_ms"), 4, at_least=True)


def _workers(one: Series) -> Iterator[Target]:
    for name in WITH_WORKERS:
        if name in one.measured and f"{name}{TWO}" in one.measured:
            ratio = one.measured[f"{name}{TWO}"].times(one.measured[name], "rate")
            yield Target(f"{name}: 2 workers: throughput, times 1 worker", ratio, 1, at_least=True)
