"""What requests tell at once: errors and latency, and from when on they are too much."""

from __future__ import annotations

import math

import msgspec

from churn.domain.rollout import sequential

FEWEST_REQUESTS = 100
"""Requests of either side below which neither errors nor latency are judged."""

_EVIDENCE = 1000.0
"""How much likelier than not what is held against a version must be: these figures are read every few seconds."""
_SLOWEST = 0.01


class Bounds(msgspec.Struct, frozen=True):
    """`error_rate` and `p99_ratio` are exceeded by what is rolled back; `level` is the chance that a decision by profit
    is wrong where there is no difference; a new champion is watched for `watch_seconds`."""

    error_rate: float = 0.1
    p99_ratio: float = 2.0
    level: float = 0.05
    watch_seconds: float = 3600.0


class Live(msgspec.Struct, frozen=True):
    """Requests of a version in some window: how many, how many of them failed, and how many of its scores took at most
    so many seconds (rising bounds, the last one infinite; cumulative counts)."""

    requests: float
    errors: float
    buckets: tuple[tuple[float, float], ...] = ()

    @property
    def error_rate(self) -> float | None:
        """The share that failed; None without requests."""
        return self.errors / self.requests if self.requests > 0 else None

    @property
    def scored(self) -> float:
        """Scores whose latency is known."""
        return self.buckets[-1][1] if self.buckets else 0.0

    @property
    def p99(self) -> float | None:
        """The 99th percentile of the latency in seconds, as PromQL's `histogram_quantile` has it; None without any."""
        if self.scored <= 0:
            return None
        wanted, lower, below = (1 - _SLOWEST) * self.scored, 0.0, 0.0
        for bound, count in self.buckets:
            if count >= wanted:
                if math.isinf(bound):
                    return lower
                return lower + (bound - lower) * (wanted - below) / (count - below)
            lower, below = bound, count
        return lower

    def slower_than(self, seconds: float) -> float:
        """How many took longer; within a bucket, they are taken to lie evenly."""
        lower, below = 0.0, 0.0
        for bound, count in self.buckets:
            if seconds < bound:
                part = 0.0 if math.isinf(bound) else (seconds - lower) / (bound - lower)
                return self.scored - below - (count - below) * part
            lower, below = bound, count
        return 0.0


def breach(suspect: Live, beside: Live, bounds: Bounds, *, excused: float = 0.0) -> str:
    """What is too much about `suspect`, held against the version `beside` it; empty when nothing is.

    Never by few requests, nor by what may be chance. `excused` is an error rate that is not the suspect's fault."""
    if suspect.requests < FEWEST_REQUESTS:
        return ""
    allowed = bounds.error_rate + excused
    if sequential.exceeds(suspect.errors, suspect.requests, allowed) >= _EVIDENCE:
        rate = suspect.error_rate or 0.0
        return f"{rate:.1%} of {suspect.requests:,.0f} requests failed, more than {allowed:.1%}"
    now, before = suspect.p99, beside.p99
    if now is None or before is None or min(suspect.scored, beside.scored) < FEWEST_REQUESTS:
        return ""
    slow = suspect.slower_than(bounds.p99_ratio * before)
    if sequential.exceeds(slow, suspect.scored, _SLOWEST) >= _EVIDENCE:
        return (
            f"its p99 is {now * 1000:,.2f} ms a score, more than {bounds.p99_ratio:g} times the "
            f"{before * 1000:,.2f} ms of the other version"
        )
    return ""


def lacking(suspect: Live, beside: Live) -> str:
    """What keeps errors and latency from being judged; empty when nothing does."""
    for who, count in (("new", min(suspect.requests, suspect.scored)), ("other", beside.scored)):
        if count < FEWEST_REQUESTS:
            return f"{count:,.0f} requests of the {who} version are too few to judge, it takes {FEWEST_REQUESTS}"
    return ""
