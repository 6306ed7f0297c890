"""What the judge says: the shape of `monitoring.json`."""

from __future__ import annotations

import msgspec

from churn.domain.drift.verdict import Judgement
from churn.domain.performance import Period, Standing
from components.monitor_assemble.facts import Facts


class Monitoring(msgspec.Struct, frozen=True, kw_only=True):
    """The whole judgement of a window. `periods` are all weeks, and each version over all of them.

    `latest` is each version over the four weeks that were judged last, which `standing` holds against its promotion;
    `short` says in what the champion falls short there, and `worse` that it does: its predecessor, which is judged for
    another month, calls for nothing. `age_days` is null where nobody knows how old the model is, `reason` one sentence.
    """

    facts: Facts
    drift: Judgement
    periods: tuple[Period, ...]
    latest: tuple[Period, ...]
    standing: tuple[Standing, ...]
    age_days: float | None
    short: tuple[str, ...]
    worse: bool
    reason: str
