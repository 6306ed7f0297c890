"""What is remembered of an answer: a line in the prediction log, and counts for Prometheus. Never a reason to fail."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import numpy as np
from msgspec import UNSET, UnsetType

from churn.stores.prediction_log.records import Logged, new_record
from serving.access.admission import Access
from serving.answers import Judged
from serving.call import Call
from serving.errors import UnknownCustomerError
from serving.metrics import Metrics
from serving.settings import Log
from serving.version import LEVELS

log = logging.getLogger(__name__)

Ids = Sequence[str | int | UnsetType] | None


class Recorder:
    """Writes answers down; `log` is None where the prediction log is off."""

    def __init__(self, metrics: Metrics, prediction_log: Log | None, access: Access) -> None:
        self._metrics, self._log, self._access = metrics, prediction_log, access

    def answered(self, call: Call, ids: Ids, judged: Sequence[Judged]) -> None:
        """The answers to a request, of one version or of two."""
        try:
            self._answered(call, ids, judged)
        except Exception:
            log.exception("an answer could not be written down")

    def _answered(self, call: Call, ids: Ids, judged: Sequence[Judged]) -> None:
        far = 0
        for one in judged:
            self._append(call, ids, one, call.elapsed, shadow=False)
            counts: dict[str, int] = {name: one.level.count(place) for place, name in enumerate(LEVELS)}
            self._metrics.answered(one.version.variant.version, one.role, counts, one.probability)
            far += self._count_unusual(one)
        if call.caller is not None and (ids is not None or far):
            named = [key for key in ids if key is not UNSET] if ids is not None else ()
            rows = sum(len(one.rows) for one in judged)
            for kind in self._access.saw(call.caller, ids=named, rows=rows, far_rows=far):
                self._metrics.suspicious.labels(call.caller.label, kind).inc()

    def shadowed(self, call: Call, ids: Ids, judged: Sequence[Judged], seconds: float) -> None:
        """What a challenger in the shadow would have answered."""
        for one in judged:
            self._append(call, ids, one, seconds, shadow=True)

    def shadow_failed(self, error: Exception) -> None:
        """A shadow that broke."""
        self._metrics.request("shadow", 500, "challenger", 0.0)
        log.warning("the challenger's shadow failed: %s", type(error).__name__)

    def refused(self, call: Call, error: Exception) -> None:
        """A request without an answer: who asks for customers there are not, again and again, walks through ids."""
        if isinstance(error, UnknownCustomerError):
            self._unknown(call, len(error.details))

    def _unknown(self, call: Call, count: int) -> None:
        if call.caller is not None:
            for kind in self._access.saw(call.caller, unknown_ids=count):
                self._metrics.suspicious.labels(call.caller.label, kind).inc()

    def _append(self, call: Call, ids: Ids, one: Judged, seconds: float, *, shadow: bool) -> None:
        if self._log is None or not len(one.rows):
            return
        self._log.writer.append(
            Logged(
                record=new_record(),
                request_id=call.request_id,
                at=time.time(),
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
