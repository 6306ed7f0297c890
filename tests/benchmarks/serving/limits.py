"""What no server on this machine can pass: an empty answer over HTTP and gRPC, the model alone in a process."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pyarrow as pa
import xgboost

from churn.domain import bundle as bundles
from churn.domain import encoding
from tests.benchmarks.serving import measure, ours
from tests.benchmarks.serving.contestants import Customers
from tests.benchmarks.serving.measure import Burst
from tests.benchmarks.serving.model import ROOT, Trained
from tests.benchmarks.serving.protocols import Rows
from tests.benchmarks.serving.scenarios import scenarios
from tests.benchmarks.serving.servers import Server

CONNECTIONS = 8
_ENOUGH_S = 0.4


@dataclass(frozen=True)
class Limit:
    """The least that a path costs: CPU of an empty answer to the same request, and what the work itself takes alone."""

    path: str
    size: int
    empty: Burst
    work_us: float

    @property
    def cpu_us(self) -> float:
        """Both together."""
        return self.empty.cpu_us + self.work_us


@dataclass(frozen=True)
class Cache:
    """A prediction cache beside the model itself: what a hit would take (one GET, elapsed), and what it would spare."""

    hit_us: float
    model_us: float

    @property
    def faster(self) -> bool:
        return self.hit_us < self.model_us


def model_alone(trained: Trained, rows: Rows) -> dict[int, float]:
    """Microseconds of CPU for 1, 100 and 1,000 customers in this process.

    By the graph, from the contract's columns, or by the booster from its own matrix: whichever takes less."""
    loaded = bundles.load(trained.folder, trained.digest)
    booster = xgboost.Booster({"nthread": 1}, model_file=trained.folder / loaded.manifest.booster)
    table = pa.Table.from_pylist(list(rows[:1000]), encoding.feature_schema(trained.contract, trained.contract.raw))
    columns = encoding.encode(trained.contract, table)
    design = loaded.design.run(columns)[0]
    return {
        size: min(
            _microseconds(partial(loaded.model.run, columns[:size])),
            _microseconds(partial(booster.inplace_predict, design[:size])),
        )
        for size in (1, 100, 1000)
    }


def empty_answers(
    servers: Mapping[str, Server], customers: Customers, work_us: Mapping[tuple[str, int], float], seconds: float
) -> list[Limit]:
    """Bursts of empty answers to the very requests of the paths (names and customers a request) in `work_us`."""
    entries = {entry.name: entry for scenario in scenarios() for entry in scenario.entries}
    found = []
    for (path, size), alone in work_us.items():
        entry = entries[path]
        server = servers["empty gRPC" if entry.protocol.grpc else "empty HTTP"]
        protocol = entry.protocol if entry.protocol.grpc else replace(entry.protocol, path="/empty")
        contestant = customers.contestant("an empty answer", server, protocol, size, by_id=entry.by_id)
        found.append(Limit(path, size, measure.burst(contestant, CONNECTIONS, seconds), alone))
    return found


def cache(url: str, model_us: float) -> Cache:
    """A GET of an answer of the usual length from the run's own Redis, over a connection that is open already."""
    import redis

    with redis.Redis.from_url(url) as client:
        client.set("benchmark", b"x" * 250, ex=300)
        hit = _microseconds(partial(client.get, "benchmark"), time.perf_counter)
        client.delete("benchmark")
    return Cache(hit, model_us)


def import_s() -> float:
    """Seconds for a process that imports KServe and ONNX Runtime, and does nothing."""
    begun = time.monotonic()
    subprocess.run([ours.python(), "-c", "import kserve, onnxruntime"], check=True, capture_output=True, cwd=ROOT)
    return time.monotonic() - begun


def _microseconds(call: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """The median of many calls; CPU of this process unless another clock is given."""
    call()
    times = []
    until = time.monotonic() + _ENOUGH_S
    while time.monotonic() < until:
        begun = clock()
        call()
        times.append(clock() - begun)
    return float(np.median(times)) * 1e6
