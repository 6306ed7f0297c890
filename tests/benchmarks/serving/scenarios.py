"""What is asked of whom: single customers, batches, ids, explanations, workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.serving import protocols
from tests.benchmarks.serving.contestants import Contestant, Customers
from tests.benchmarks.serving.model import NAME
from tests.benchmarks.serving.protocols import Protocol
from tests.benchmarks.serving.servers import Server

NAIVE = "naive peer"
BY_ID = "ours, by id, v1 JSON"
WITH_WORKERS = ("ours, v1 JSON", "ours, v2 gRPC")
"""What is measured with two workers too, under the same name with TWO behind it."""
TWO = ", 2 workers"

_V1, _V2, _GRPC = protocols.v1(NAME), protocols.v2(NAME), protocols.v2_grpc(NAME)
_BINARY = protocols.v2_binary(NAME)
_KSERVE, _MLSERVER = "stock kserve", "MLServer"


@dataclass(frozen=True)
class Entry:
    """A contestant that is to be: a server by its name, a protocol, and whether customers are asked by id."""

    name: str
    server: str
    protocol: Protocol
    by_id: bool = False


@dataclass(frozen=True)
class Scenario:
    """`size` customers a request, at each number of `connections`, by every contestant; the naive peer is first."""

    name: str
    title: str
    size: int
    connections: Sequence[int]
    entries: Sequence[Entry]

    def contestants(self, servers: Mapping[str, Server], customers: Customers) -> list[Contestant]:
        """Those whose servers are there."""
        return [
            customers.contestant(entry.name, servers[entry.server], entry.protocol, self.size, by_id=entry.by_id)
            for entry in self.entries
            if entry.server in servers
        ]


SINGLE, BATCH_100, BATCH_1000, WORKERS = NAMES = ("single", "batch-100", "batch-1000", "workers")


def scenarios(naive_prefix: str = "") -> list[Scenario]:
    """All of them, with the naive peer's endpoints under this prefix of their paths."""
    row = protocols.plain_row(f"{naive_prefix}/predict")
    batch = protocols.plain_batch(f"{naive_prefix}/predict/batch")
    many = _many(batch)
    ids = Entry(BY_ID, "ours", _V1, by_id=True)
    return [
        Scenario(SINGLE, "one customer a request", 1, (1, 8, 32), _single(row)),
        Scenario(BATCH_100, "100 customers a request", 100, (1, 8), [*many, ids]),
        Scenario(BATCH_1000, "1,000 customers a request", 1000, (1, 8), many),
        Scenario(WORKERS, "one customer a request, 1 and 2 workers", 1, (32,), _workers(row)),
    ]


def _single(row: Protocol) -> list[Entry]:
    return [
        Entry(NAIVE, "naive", row),
        Entry("lean peer", "lean", protocols.plain_row("/predict")),
        Entry("stock kserve, v1 JSON", _KSERVE, _V1),
        Entry("stock kserve, v2 JSON", _KSERVE, _V2),
        Entry("stock kserve, v2 gRPC", _KSERVE, _GRPC),
        Entry("MLServer, v2 JSON", _MLSERVER, _V2),
        Entry("MLServer, v2 gRPC", _MLSERVER, _GRPC),
        Entry("ours, v1 JSON", "ours", _V1),
        Entry("ours, v2 JSON", "ours", _V2),
        Entry("ours, v2 gRPC", "ours", _GRPC),
        Entry(BY_ID, "ours", _V1, by_id=True),
        Entry("ours, explained, v1 JSON", "ours", protocols.v1(NAME, "explain")),
        Entry("ours, explained, v2 JSON", "ours", protocols.v2(NAME, explain=True)),
    ]


def _many(batch: Protocol) -> list[Entry]:
    return [
        Entry(NAIVE, "naive", batch),
        Entry("lean peer", "lean", protocols.plain_batch("/predict/batch")),
        Entry("stock kserve, v1 JSON", _KSERVE, _V1),
        Entry("stock kserve, v2 binary", _KSERVE, _BINARY),
        Entry("stock kserve, v2 gRPC", _KSERVE, _GRPC),
        Entry("MLServer, v2 JSON", _MLSERVER, _V2),
        Entry("MLServer, v2 gRPC", _MLSERVER, _GRPC),
        Entry("ours, v1 JSON", "ours", _V1),
        Entry("ours, v2 binary", "ours", _BINARY),
        Entry("ours, v2 gRPC", "ours", _GRPC),
    ]


def _workers(row: Protocol) -> list[Entry]:
    return [
        Entry(NAIVE, "naive", row),
        Entry(f"{NAIVE}{TWO}", "naive x2", row),
        *(
            Entry(f"{name}{suffix}", server, protocol)
            for name, protocol in zip(WITH_WORKERS, (_V1, _GRPC), strict=True)
            for suffix, server in (("", "ours"), (TWO, "ours x2"))
        ),
    ]
