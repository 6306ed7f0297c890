"""What monitoring found as notices: what is wrong, by how much and since when, and what is well again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from churn.domain.drift.verdict import Finding, said
from churn.domain.performance import LATEST_DAYS
from churn.notices.notice import Kind, Notice, key
from churn.notices.send import Sent, send_all
from churn.stores.settings import Settings
from components.files import read_json
from components.monitor_record.step import Recorded

_SHOWN, _NAMED = 20, 3
_NEXT = {"retraining": "this run decides whether to train a new model, and says so"}
_NOTHING = "nothing by itself, for this run only looked; `churn run retraining` decides whether to train a new model"


def tell(settings: Settings, report: Path, pipeline: str, env: Mapping[str, str]) -> Sent:
    """Tells of the recorded judgement. Raises UserError for a fault of the channels' file."""
    return send_all(settings, notices(read_json(report, Recorded), pipeline), env)


def notices(found: Recorded, pipeline: str) -> tuple[Notice, ...]:
    """A notice of each kind for which there is something to say, be it that nothing is wrong (any more).

    They are of the window's end, so that windows may be judged again, and in another order than that of their times."""
    after = _NEXT.get(pipeline, _NOTHING)
    return (*_unjudged(found), *_drift(found, after), *_performance(found, after))


def _unjudged(found: Recorded) -> Iterator[Notice]:
    facts, drift = found.judgement.facts, found.judgement.drift
    if drift.status != "unjudged":
        yield _over(found, "unjudged", "the window could be judged again")
        return
    yield _notice(
        found, "unjudged", severity="warning", title="the window could not be judged", lines=(_sentence(drift.reason),),
        since=facts.since,
        next="nobody knows of drift until a window is judged: see whether predictions are logged, or look at more days",
    )  # fmt: skip


def _drift(found: Recorded, after: str) -> Iterator[Notice]:
    facts, drift = found.judgement.facts, found.judgement.drift
    if drift.status == "quiet":
        yield _over(found, "drift", "nothing has drifted any more")
    if drift.status != "drifted":
        return
    names = [_name(one) for one in drift.drifted]
    lines = [f"{said(one)}, since {found.since[one.name]:%Y-%m-%d}" for one in drift.drifted[:_SHOWN]]
    if len(names) > _SHOWN:
        lines.append(f"and {len(names) - _SHOWN} columns more")
    looked = f"{drift.judged:,} customers of {facts.since:%Y-%m-%d} to {facts.as_of:%Y-%m-%d}"
    lines.append(f"Looked at: {looked}, version {facts.version}; an effect counts from {facts.bounds.effect:g} on.")
    yield _notice(
        found, "drift", severity="warning", title=f"{_listed(names)} drifted", lines=tuple(lines),
        about=tuple(one.name for one in drift.drifted), since=min(found.since[one.name] for one in drift.drifted),
        next=after,
    )  # fmt: skip


def _performance(found: Recorded, after: str) -> Iterator[Notice]:
    """Of the champion alone: how its predecessor does is nobody's alarm, nor the all-clear."""
    judged, facts = found.judgement, found.judgement.facts
    own = [one for one in judged.standing if one.version == facts.version]
    if own and not judged.worse:
        yield _over(found, "performance", "as good as at promotion again")
    if not judged.worse:
        return
    until = facts.as_of - dt.timedelta(days=facts.horizon_days)
    since = until - dt.timedelta(days=LATEST_DAYS)
    weeks = f"These are the predictions of {since:%Y-%m-%d} to {until:%Y-%m-%d}, whose outcomes are known by now."
    yield _notice(
        found, "performance", severity="critical", next=after,
        title=f"version {facts.version} does worse than at promotion",
        lines=(*map(_sentence, judged.short), weeks),
        about=tuple(f"version {one.version}: {one.measure}" for one in own if one.worse),
    )  # fmt: skip


def _over(found: Recorded, kind: Kind, title: str) -> Notice:
    model, at = found.judgement.facts.model, found.judgement.facts.as_of
    return Notice(
        kind="recovered", model=model, key=key(model, kind), severity="info", title=f"{model}: {title}", at=at
    )


def _notice(found: Recorded, kind: Kind, *, title: str, **others: Any) -> Notice:
    model, at = found.judgement.facts.model, found.judgement.facts.as_of
    return Notice(kind=kind, model=model, key=key(model, kind), title=f"{model}: {title}", at=at, **others)


def _name(finding: Finding) -> str:
    return "the prediction" if finding.part == "prediction" else finding.name


def _listed(names: list[str]) -> str:
    """As many names as one reads at a glance, with the verb."""
    if len(names) == 1:
        return f"{names[0]} has"
    first, rest = names[:_NAMED], len(names) - _NAMED
    return f"{', '.join(first)} and {rest} more have" if rest > 0 else f"{', '.join(first[:-1])} and {first[-1]} have"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
