"""Deciding: the judgement, what is known of outcomes, and what was decided before, in; one decision out."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyarrow.compute as pc
import pyarrow.parquet as pq

from churn.domain import performance, retraining
from churn.domain.drift.verdict import Finding
from churn.domain.errors import UserError
from churn.domain.performance import LEAVER, PENDING
from churn.domain.retraining import Bounds, Decision, Labelled, Situation, Window
from churn.stores import leases, monitoring, retrainings
from churn.stores.retrainings import Result
from churn.stores.settings import Settings
from churn.stores.traffic_store import open_traffic
from components.monitor_assemble.facts import Facts
from components.monitor_assemble.times import require_days
from components.monitor_record.step import Recorded

LEASE_S = 2 * 3600.0
"""How long a retraining may take before another takes it for dead."""

_TRIES = 20

_FINDINGS = msgspec.json.Decoder(tuple[Finding, ...])


@dataclass(frozen=True)
class Asked:
    """What was asked for: the run's name, the window to train on, and whether the decision is made already.

    `elsewhere` says that labelled rows come from a table, of which nothing is known yet, and not from the log."""

    run: str
    window_days: int = 90
    force: bool = False
    elsewhere: bool = False


def decide(settings: Settings, seen: Recorded, predictions: Path, asked: Asked, bounds: Bounds) -> Decision:
    """The decision, which is written down; when it is to retrain, the run holds the lease of the model's retrainings.

    Raises UserError while another run holds it, for a window that cannot be, and when the database is away."""
    require_days(asked.window_days, "window_days")
    facts = seen.judgement.facts
    situation = _situation(settings, seen, predictions, asked, bounds)
    decision = retraining.decide(situation)
    if decision.retrain:
        _take_the_turn(settings, facts.model, asked.run)
    _give_up_the_dead(settings, facts.model, asked.run)
    retrainings.decide(
        settings.database,
        retrainings.Retraining(
            model=facts.model,
            as_of=facts.as_of,
            run=asked.run,
            version=facts.version,
            retrain=decision.retrain,
            because=decision.because,
            since=decision.since,
            outcome="running" if decision.retrain else "none",
        ),
    )
    return decision


def leave(settings: Settings, model: str, run: str) -> None:
    """Ends a run's turn, however it has ended: one that came to no result has failed.

    Raises UserError when the database is away."""
    leases.release(settings.database, lease_of(model), run)
    found = retrainings.of_run(settings.database, model, run)
    if found and found.outcome == "running":
        retrainings.conclude(settings.database, model, run, Result("failed", retrainings.NO_END))


def lease_of(model: str) -> str:
    """The name of the lease that a run holds while it trains."""
    return f"retraining/{model}"


def _take_the_turn(settings: Settings, model: str, run: str) -> None:
    name = lease_of(model)
    if leases.acquire(settings.database, name, run, LEASE_S) is None:
        other = leases.current(settings.database, name)
        until = f"until {other.until:%Y-%m-%d %H:%M} UTC at the latest" if other else "at this moment"
        raise UserError(
            "another retraining is under way", where=f"model {model}", remedy=f"wait for it; it holds its turn {until}"
        )


def _give_up_the_dead(settings: Settings, model: str, run: str) -> None:
    """A run that was killed has told nobody; that its turn is over tells of it."""
    holder = leases.current(settings.database, lease_of(model))
    if holder is None or holder.holder == run:
        retrainings.give_up(settings.database, model, but=run)


def _situation(settings: Settings, seen: Recorded, predictions: Path, asked: Asked, bounds: Bounds) -> Situation:
    judged, facts = seen.judgement, seen.judgement.facts
    newest = facts.as_of - dt.timedelta(days=facts.horizon_days)
    earliest = newest - dt.timedelta(days=asked.window_days)
    tried = retrainings.latest(settings.database, facts.model, before=facts.as_of)
    known_to = [one for one in (facts.trained_to, *(one.as_of for one in tried)) if one is not None]
    return Situation(
        quiet=judged.drift.reason,
        findings=judged.drift.findings,
        importance=facts.importance,
        since=_begun(settings, facts.model, seen.since),
        window_days=round((facts.as_of - facts.since).total_seconds() / 86400),
        short=judged.short,
        age_days=judged.age_days,
        labelled=None if asked.elsewhere else _labelled(predictions, facts.horizon_days, facts.as_of),
        challenger=_challenger(settings, facts.model),
        learned_to=max(known_to) - dt.timedelta(days=facts.horizon_days) if known_to else None,
        earliest=earliest,
        broken=_broken(settings, seen, earliest),
        judged=any(one.version == facts.version and one.judged for one in judged.periods),
        refused=_refused(settings, facts),
        bounds=bounds,
        force=asked.force,
    )


def _refused(settings: Settings, facts: Facts) -> tuple[float, ...]:
    """Days since each model that was trained to follow this champion, and refused, up to one that was not."""
    tried = retrainings.latest(settings.database, facts.model, before=facts.as_of, count=_TRIES)
    vain = itertools.takewhile(lambda one: one.version == facts.version and one.outcome == "refused", tried)
    return tuple((facts.as_of - one.as_of).total_seconds() / 86400 for one in vain)


def _begun(settings: Settings, model: str, since: dict[str, dt.datetime]) -> dict[str, dt.datetime]:
    """Since when each column has drifted, where that is known: what had when nobody had looked before may be old."""
    first = monitoring.first_judged(settings.database, model)
    return {name: at for name, at in since.items() if first is None or at > first}


def _challenger(settings: Settings, model: str) -> int | None:
    serving = open_traffic(settings).read(model)
    return serving.challenger.version if serving and serving.challenger else None


def _labelled(path: Path, horizon_days: int, as_of: dt.datetime) -> Labelled:
    """Of the rows that a training set would be assembled from."""
    columns = ["predicted_at", "left_at", "stayed_until"]
    table = pq.read_table(path, columns=columns, filters=pc.field("own") & ~pc.field("shadow"))
    at, left_at, stayed_until = map(performance.times, table.columns)
    state = performance.fates(at, left_at, stayed_until, horizon_days, performance.microseconds(as_of))
    known = state != PENDING
    return Labelled(at[known], state[known] == LEAVER)


def _broken(settings: Settings, seen: Recorded, after: dt.datetime) -> tuple[Window, ...]:
    """When a column looked broken, in this window or in earlier ones."""
    facts = seen.judgement.facts
    earlier = monitoring.reports(settings.database, facts.model, after, facts.as_of)
    found = [*seen.judgement.drift.findings, *itertools.chain(*(_FINDINGS.decode(one.findings) for one in earlier))]
    return retraining.faulty(found)
