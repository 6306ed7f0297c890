"""What no server on this machine can pass: an empty answer over HTTP and gRPC, the model alone in a process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from churn.domain import bundle as bundles
from churn.domain import encoding
from tests.benchmarks.serving import measure, protocols
from tests.benchmarks.serving.contestants import Customers
from tests.benchmarks.serving.measure import Burst
from tests.benchmarks.serving.model import NAME, ROOT, Trained
from tests.benchmarks.serving.protocols import Rows
from tests.benchmarks.serving.servers import Server

CONNECTIONS = 8


@dataclass(frozen=True)
class Limit:
    """The least that a path costs: CPU of an empty answer to the same request, and of the model for its customers."""

    path: str
    size: int
    empty: Burst
    model_us: float

    @property
    def cpu_us(self) -> float:
        return self.empty.cpu_us + self.model_us


@dataclass(frozen=True)
class Cache:
    """A prediction cache beside the model itself: what a hit would cost (one GET), and what it would spare."""

    hit_us: float
    model_us: float

    @property
    def faster(self) -> bool:
        return self.hit_us < self.model_us


def model_alone(trained: Trained, rows: Rows) -> dict[int, float]:
    """Microseconds for 1, 100 and 1,000 customers, from the contract's columns to probabilities, in this process."""
    loaded = bundles.load(trained.folder, trained.digest)
    table = pa.Table.from_pylist(list(rows[:1000]), encoding.feature_schema(trained.contract, trained.contract.raw))
    columns = encoding.encode(trained.contract, table)
    return {size: _microseconds(lambda part=columns[:size]: loaded.predict(part)) for size in (1, 100, 1000)}


def empty_answers(
    servers: Mapping[str, Server], customers: Customers, model_us: Mapping[int, float], seconds: float
) -> list[Limit]:
    """Bursts of empty answers to the very requests that the paths get."""
    found = []
    for protocol, sizes in (
        (protocols.v1(NAME), (1, 100, 1000)),
        (protocols.v2(NAME), (1,)),
        (protocols.v2_binary(NAME), (100, 1000)),
        (protocols.v2_grpc(NAME), (1, 100, 1000)),
    ):
        server = servers["empty gRPC" if protocol.grpc else "empty HTTP"]
        asked = protocol if protocol.grpc else replace(protocol, path="/empty")
        for size in sizes:
            contestant = customers.contestant("an empty answer", server, asked, size)
            seen = measure.burst(contestant, CONNECTIONS, seconds)
            found.append(Limit(f"ours, {protocol.name}", size, seen, model_us[size]))
    return found


def cache(url: str, model_us: float) -> Cache:
    """A GET of an answer of the usual length from the run's own Redis, over a connection that is open already."""
    import redis

    with redis.Redis.from_url(url) as client:
        client.set("benchmark", b"x" * 250, ex=300)
        hit = _microseconds(lambda: client.get("benchmark"))
        client.delete("benchmark")
    return Cache(hit, model_us)


def import_s() -> float:
    """Seconds for a process that imports KServe and ONNX Runtime, and does nothing."""
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", "import kserve, onnxruntime"], check=True, capture_output=True, cwd=ROOT)
    return time.monotonic() - begun


def _microseconds(call: Callable[[], object], enough_s: float = 0.4) -> float:
    """The median of many calls."""
    call()
    times = []
    until = time.perf_counter() + enough_s
    while (begun := time.perf_counter()) < until:
        call()
        times.append(time.perf_counter() - begun)
    return float(np.median(times)) * 1e6
