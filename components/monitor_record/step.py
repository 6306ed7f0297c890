"""Recording: what was judged goes to the database, and comes back with since when it is so."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec

from churn.stores import monitoring
from churn.stores.settings import Settings
from components.files import read_json
from components.monitor_judge.report import Monitoring


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """The judgement, and since when each column has drifted that has: the first window of an unbroken row of them."""

    judgement: Monitoring
    since: dict[str, dt.datetime]


def record(settings: Settings, judgement: Path) -> Recorded:
    """Writes the judgement down, all of it or nothing; again is no harm. Raises UserError when the database is away."""
    found = read_json(judgement, Monitoring)
    facts, drift = found.facts, found.drift
    report = monitoring.Report(
        model=facts.model,
        as_of=facts.as_of,
        since=facts.since,
        version=facts.version,
        contract=facts.contract,
        status=drift.status,
        reason=found.reason,
        rows=drift.rows,
        judged=drift.judged,
        age_days=found.age_days,
        positive_rate=facts.positive_rate,
        positive_rate_before=facts.positive_rate_before,
        drifted=tuple(one.name for one in drift.drifted),
        findings=msgspec.json.encode(drift.findings).decode(),
    )
    return Recorded(judgement=found, since=monitoring.record(settings.database, report, found.periods))
