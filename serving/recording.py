"""What is remembered of an answer: a line in the prediction log, and counts for Prometheus. Never a reason to fail."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import numpy as np
from msgspec import UNSET, UnsetType

from churn.stores.prediction_log.records import Logged, new_record
from serving.access.admission import Access
from serving.answers import Judged
from serving.call import Call
from serving.errors import Failure, UnknownCustomerError
from serving.metrics import Metrics
from serving.settings import Log
from serving.version import LEVELS

log = logging.getLogger(__name__)

Ids = Sequence[str | int | UnsetType] | None


class Recorder:
    """Writes answers down; `log` is None where the prediction log is off. `clock` gives seconds since 1970."""

    def __init__(
        self, metrics: Metrics, prediction_log: Log | None, access: Access, clock: Callable[[], float] = time.time
    ) -> None:
        self._metrics, self._log, self._access, self._clock = metrics, prediction_log, access, clock
        self._said: set[tuple[str, ...]] = set()

    def answered(self, call: Call, ids: Ids, judged: Sequence[Judged]) -> None:
        """The answers to a request, of one version or of two."""
        try:
            self._answered(call, ids, judged)
        except Exception:
            log.exception("an answer could not be written down")

    def _answered(self, call: Call, ids: Ids, judged: Sequence[Judged]) -> None:
        far, at = 0, self._clock()  # one moment: who compares two versions takes a request in whole or not at all
        for one in judged:
            self._append(call, ids, one, at, call.elapsed, shadow=False)
            counts: dict[str, int] = {name: one.level.count(place) for place, name in enumerate(LEVELS)}
            self._metrics.answered(one.version.variant.version, one.role, counts, one.probability)
            self._metrics.scored(one.role, len(one.rows), one.seconds)
            far += self._count_unusual(one)
        self._saw(call, ids, rows=sum(len(one.rows) for one in judged), far_rows=far)

    def shadowed(self, call: Call, ids: Ids, judged: Sequence[Judged], seconds: float) -> None:
        """What a challenger in the shadow would have answered."""
        at = self._clock()
        for one in judged:
            self._append(call, ids, one, at, seconds, shadow=True)
            self._metrics.scored(one.role, len(one.rows), one.seconds)
        if judged:
            self._metrics.request("shadow", 200, "challenger", seconds)

    def challenger_failed(self, version: int, error: Exception) -> None:
        """A challenger that broke on customers of its own, whom the champion answers."""
        self._metrics.challenger_failures.labels("split").inc()
        self._say_once("challenger", version, error)

    def shadow_failed(self, version: int, error: Exception) -> None:
        """A shadow that broke."""
        self._metrics.challenger_failures.labels("shadow").inc()
        self._say_once("challenger's shadow", version, error)

    def shadow_dropped(self) -> None:
        """A shadow that was not even begun: too many are at work."""
        self._metrics.challenger_failures.labels("dropped").inc()

    def _say_once(self, who: str, version: int, error: Exception) -> None:
        """By its kind alone: what an exception says may be of the customer."""
        kind = (who, str(version), type(error).__name__)
        if kind not in self._said:
            self._said.add(kind)
            log.warning("the %s failed: %s (version %d; said once)", who, kind[-1], version)

    def failed(self, call: Call, ids: Ids, failures: Sequence[Failure]) -> None:
        """Customers without an answer, and the `ids` of a request that is refused as a whole: who asks for customers
        there are not, again and again, walks through ids."""
        unknown = sum(failure.kind is UnknownCustomerError for failure in failures)
        self._saw(call, ids, unknown_ids=unknown)

    def _saw(self, call: Call, ids: Ids, *, unknown_ids: int = 0, rows: int = 0, far_rows: int = 0) -> None:
        if call.caller is None:
            return
        named = [key for key in ids if key is not UNSET] if ids is not None else ()
        if named or unknown_ids or far_rows:
            found = self._access.saw(call.caller, ids=named, unknown_ids=unknown_ids, rows=rows, far_rows=far_rows)
            for kind in found:
                self._metrics.suspicious.labels(call.caller.label, kind).inc()

    def _append(  # noqa: PLR0913
        self, call: Call, ids: Ids, one: Judged, at: float, seconds: float, *, shadow: bool
    ) -> None:
        if self._log is None or not len(one.rows):
            return
        self._log.writer.append(
            Logged(
                record=new_record(),
                request_id=call.request_id,
                at=at,
                model=one.version.bundle.manifest.model,
                version=one.version.variant.version,
                variant=one.role,
                shadow=shadow,
                threshold=one.threshold,
                latency_ms=seconds * 1000,
                layout=one.version.layout,
                customers=self._pseudonyms(ids, one.rows),
                probabilities=one.probability.tobytes(),
                risks=bytes(one.level),
                features=one.columns.tobytes(),
            )
        )

    def _pseudonyms(self, ids: Ids, rows: Sequence[int]) -> list[bytes | None] | None:
        if ids is None or self._log is None:
            return None
        hashed = self._log.pseudonyms.pseudonym
        return [None if (key := ids[row]) is UNSET else hashed(str(key)) for row in rows]

    def _count_unusual(self, one: Judged) -> int:
        """Counts values that are missing or far from training, by column; gives the customers who have far ones."""
        odd = one.version.unusual(one.columns)
        if odd is None:
            return 0
        missing = np.isnan(one.columns)
        outside = odd & ~missing
        self._metrics.unusual_values(
            one.version.contract.raw, missing.sum(axis=0).tolist(), outside.sum(axis=0).tolist()
        )
        return int(outside.any(axis=1).sum())
