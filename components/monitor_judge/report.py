"""What the judge says: the shape of `monitoring.json`."""

from __future__ import annotations

import msgspec

from churn.domain.drift.verdict import Judgement
from churn.domain.performance import Period, Standing
from components.monitor_assemble.facts import Facts


class Monitoring(msgspec.Struct, frozen=True, kw_only=True):
    """The whole judgement of a window. `age_days` is null where nobody knows how old the model is.

    `reason` is one sentence; `worse` says that a version falls short of what it was promoted for."""

    facts: Facts
    drift: Judgement
    periods: tuple[Period, ...]
    standing: tuple[Standing, ...]
    age_days: float | None
    worse: bool
    reason: str
