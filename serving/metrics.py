"""What Prometheus is told. Labels take few values; with several workers, prometheus_client adds them up in files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

OBJECTIVE_S = 0.05
"""The latency that most requests are to stay below; a bucket ends there."""

_LATENCY = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, OBJECTIVE_S, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_SCORING = (0.00005, 0.0001, 0.00025, *_LATENCY)
_SHARES = tuple(round(0.1 * step, 1) for step in range(1, 11))
_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """The predictor's own metrics. Cheap to count: children are looked up once.

    Each process makes one; in a worker of several, PROMETHEUS_MULTIPROC_DIR is set before this module is imported."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        own = self._own = CollectorRegistry()
        self.requests = Counter(
            "churn_requests", "Requests that were answered or refused.", ["route", "status", "variant"], registry=own
        )
        self.seconds = Histogram(
            "churn_request_duration_seconds",
            "From when a request was taken up to its answer; of shadows, up to their score.",
            ["route", "variant"],
            registry=own,
            buckets=_LATENCY,
        )
        self.scoring_seconds = Histogram(
            "churn_scoring_duration_seconds",
            "One customer's score, and its reasons where they are asked for; without what was waited for.",
            ["variant"],
            registry=own,
            buckets=_SCORING,
        )
        self.predictions = Counter(
            "churn_predictions", "Customers who were answered, by risk.", ["risk", "variant"], registry=own
        )
        self.probability = Histogram(
            "churn_probability", "Probabilities that were answered.", ["version"], registry=own, buckets=_SHARES
        )
        self.unusual = Counter(
            "churn_feature_values_unusual",
            "Values that are missing, or outside of what training has seen.",
            ["column", "kind"],
            registry=own,
        )
        self.online_seconds = Histogram(
            "churn_online_store_duration_seconds",
            "Reads of the online store.",
            ["outcome"],
            registry=own,
            buckets=_LATENCY,
        )
        self.online_misses = Counter(
            "churn_online_store_misses",
            "Customers of whom the online store holds nothing, or nothing fresh.",
            registry=own,
        )
        self.model_info = Gauge(
            "churn_model_info",
            "The versions that have served: 1 for those that do now.",
            ["model", "version", "digest", "role"],
            registry=own,
            multiprocess_mode="livemax",
        )
        self.load_seconds = Gauge(
            "churn_model_load_seconds",
            "How long it took to fetch, verify and test the newest version.",
            registry=own,
            multiprocess_mode="livemax",
        )
        self.load_failures = Counter(
            "churn_model_load_failures", "Versions that could not be loaded, and tries to.", ["role"], registry=own
        )
        self.challenger_failures = Counter(
            "churn_challenger_failures",
            "Requests that the challenger broke on (the champion answered), and shadows that broke or were left out.",
            ["kind"],
            registry=own,
        )
        self.log_rows = Gauge(
            "churn_log_rows",
            "Predictions on their way to the database.",
            ["place"],
            registry=own,
            multiprocess_mode="livesum",
        )
        self.log_written = Counter("churn_log_written_rows", "Predictions written to the database.", registry=own)
        self.log_lost = Counter("churn_log_lost_rows", "Predictions that could not be kept.", registry=own)
        self.log_lag = Gauge(
            "churn_log_lag_seconds",
            "Age of the oldest prediction that is not in the database.",
            registry=own,
            multiprocess_mode="livemax",
        )
        self.log_stuck = Gauge(
            "churn_log_stuck",
            "Workers whose predictions do not come now into the spool, or the database, or out of what a process left.",
            ["place"],
            registry=own,
            multiprocess_mode="livesum",
        )
        self.refused = Counter("churn_access_refused", "Requests refused at the door.", ["reason"], registry=own)
        self.suspicious = Counter(
            "churn_suspicious_callers",
            "Callers that walk through ids, or send far values.",
            ["caller", "kind"],
            registry=own,
        )
        self.access_stale = Gauge(
            "churn_access_stale_files",
            "Files of keys or certificates whose newest content cannot be used.",
            registry=own,
            multiprocess_mode="livemax",
        )
        self.audit_lost = Gauge(
            "churn_audit_lost_lines", "Lines that the audit could not write.", registry=own, multiprocess_mode="livesum"
        )
        self._served: set[tuple[str, str, str, str]] = set()
        if _DIRECTORY not in os.environ:
            ProcessCollector(registry=own)
            PlatformCollector(registry=own)
        self._request = cache(self.requests.labels)
        self._seconds = cache(self.seconds.labels)
        self._scoring = cache(self.scoring_seconds.labels)
        self._prediction = cache(self.predictions.labels)
        self._probability = cache(self.probability.labels)
        self._unusual = cache(self.unusual.labels)
        self._online = cache(self.online_seconds.labels)
        for risk in ("low", "medium", "high"):  # so that rates start from zero
            self._prediction(risk, "champion")
        for outcome in ("ok", "away"):
            self._online(outcome)
        for kind in ("split", "shadow", "dropped"):
            self.challenger_failures.labels(kind)

    def request(self, route: str, status: int, variant: str, seconds: float) -> None:
        """One request, however it ended."""
        self._request(route, str(status), variant).inc()
        self._seconds(route, variant).observe(seconds)

    def answered(self, version: int, variant: str, levels: Mapping[str, int], p: npt.NDArray[np.float64]) -> None:
        """Customers who were answered, of one version."""
        for risk, count in levels.items():
            if count:
                self._prediction(risk, variant).inc(count)
        observe_many(self._probability(str(version)), p, _SHARES)

    def scored(self, variant: str, rows: int, seconds: float) -> None:
        """How long scoring took. Of one customer alone: how many of a batch a version gets is its share's doing."""
        if rows == 1:
            self._scoring(variant).observe(seconds)

    def unusual_values(self, columns: Sequence[str], columns_missing: Iterable[int], outside: Iterable[int]) -> None:
        """How often each column (by place) was missing or outside, in one request."""
        for kind, counts in (("missing", columns_missing), ("out_of_range", outside)):
            for name, count in zip(columns, counts, strict=True):
                if count:
                    self._unusual(name, kind).inc(count)

    def online_read(self, outcome: str, seconds: float) -> None:
        """One read of the online store."""
        self._online(outcome).observe(seconds)

    def serving(self, model: str, versions: Mapping[str, tuple[int, str]]) -> None:
        """Which versions serve now, by role; those that did are 0 from now on."""
        now = {(model, str(version), digest[:12], role) for role, (version, digest) in versions.items()}
        for labels in now | self._served:
            self.model_info.labels(*labels).set(float(labels in now))
        self._served = now

    def stale(self, count: int, audit_lost: int) -> None:
        """How many files of keys or certificates have newer content that is not in use; lines the audit has lost."""
        self.access_stale.set(count)
        self.audit_lost.set(audit_lost)

    def render(self) -> bytes:
        """The text that Prometheus scrapes, of all workers."""
        if _DIRECTORY not in os.environ:
            return generate_latest(self._own)
        from prometheus_client.multiprocess import MultiProcessCollector

        everything = CollectorRegistry()
        MultiProcessCollector(everything)  # type: ignore[no-untyped-call]
        return generate_latest(everything)


def observe_many(child: Histogram, values: npt.NDArray[np.float64], bounds: Sequence[float]) -> None:
    """`child.observe` for each of `values`, without a loop over them. prometheus_client has no call for it, so this
    adds to its buckets as `observe` does; a test holds that both come to the same."""
    if len(values) == 1:
        child.observe(float(values[0]))
        return
    counts = np.bincount(np.searchsorted(bounds, values), minlength=len(bounds) + 1)
    child._sum.inc(float(values.sum()))  # noqa: SLF001
    for bucket, count in zip(child._buckets, counts.tolist(), strict=True):  # noqa: SLF001
        if count:
            bucket.inc(count)
