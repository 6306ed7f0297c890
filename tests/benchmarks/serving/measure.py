"""Bursts of load on servers in turn: answers a second, CPU an answer, times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from tests.benchmarks.serving import loaders
from tests.benchmarks.serving.contestants import Contestant
from tests.benchmarks.serving.loaders import Load
from tests.benchmarks.serving.processes import Process

_PATIENCE_S, _PAUSE_S, _IDLE_S = 3.0, 0.1, 0.011
_TRIES = 3


@dataclass(frozen=True)
class Burst:
    """One burst: answers a second, CPU of the server's processes an answer, times of an answer, and failures."""

    rate: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    requests: int
    failed: int


@dataclass(frozen=True)
class Measured:
    """All bursts of a contestant under one load, in the order of the rounds."""

    bursts: tuple[Burst, ...]

    def median(self, name: str) -> float:
        return statistics.median(getattr(burst, name) for burst in self.bursts)

    @property
    def failed(self) -> int:
        return sum(burst.failed for burst in self.bursts)

    @property
    def requests(self) -> int:
        return sum(burst.requests for burst in self.bursts)

    def times(self, other: Measured, name: str) -> float:
        """The median over the rounds of this one's figure divided by the other's in the same round."""
        pairs = zip(self.bursts, other.bursts, strict=True)
        return statistics.median(getattr(mine, name) / getattr(its, name) for mine, its in pairs)


def burst(contestant: Contestant, connections: int, seconds: float, number: int = 0) -> Burst:
    """One burst. wrk sends the contestant's bodies in turn; h2load can send one only, so each burst has another."""
    address, bodies = contestant.address, contestant.bodies
    if contestant.protocol.grpc:
        body = bodies[number % len(bodies)]
        load = partial(loaders.grpc, address, body, connections, seconds, contestant.answer_bytes(body))
        return _measured(contestant, load, unfinished=0)
    load = partial(loaders.http, address, bodies, connections, seconds)
    return _measured(contestant, load, unfinished=connections)


def paced(contestant: Contestant, connections: int, seconds: float, rate: float) -> Burst:
    """Requests that come independently of each other, about `rate` a second, over HTTP."""
    address, bodies, think_ms = contestant.address, contestant.bodies, 1000 * connections / rate
    load = partial(loaders.http, address, bodies, connections, seconds, think_ms)
    return _measured(contestant, load, unfinished=0)


def in_turn(contestants: Sequence[Contestant], connections: int, rounds: int, seconds: float) -> dict[str, Measured]:
    """A burst of each contestant in turn, then all again: what disturbs the machine disturbs them alike."""
    found: dict[str, list[Burst]] = {one.name: [] for one in contestants}
    for number in range(rounds):
        for contestant in contestants:
            found[contestant.name].append(burst(contestant, connections, seconds, number))
    return {name: Measured(tuple(bursts)) for name, bursts in found.items()}


def _measured(contestant: Contestant, load: Callable[[], Load], unfinished: int) -> Burst:
    """CPU until the server rests, so that what it leaves for later (a log's writing) is counted too.

    When wrk stops, each connection has one request under way that it does not count, and that the server answers: these
    are the `unfinished`. Those that h2load leaves are cancelled, or else to the disadvantage of the server."""
    process = contestant.server.process
    for _ in range(_TRIES):  # on a machine that has much else to do, a short burst may end before its first answer
        before = process.cpu_s()
        seen = load()
        used = _at_rest(process) - before
        if seen.requests:
            break
    else:
        raise RuntimeError(f"{contestant.name} gave no answer at all in {_TRIES} bursts")
    cpu_us = used * 1e6 / (seen.requests + unfinished)
    return Burst(seen.rate, cpu_us, seen.p50_us / 1000, seen.p99_us / 1000, seen.requests, seen.failed)


def _at_rest(process: Process) -> float:
    """Waits until a server does nothing, though not for long; gives its seconds of CPU."""
    deadline = time.monotonic() + _PATIENCE_S
    used, now = -1.0, process.cpu_s()
    while now - used > _IDLE_S and time.monotonic() < deadline:
        time.sleep(_PAUSE_S)
        used, now = now, process.cpu_s()
    return now
