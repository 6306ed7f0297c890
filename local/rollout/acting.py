"""Changing who answers whom: by compare-and-set on the traffic document, written down and told."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import msgspec

from churn.domain.errors import UserError
from churn.notices.notice import Notice, Severity, key
from churn.notices.send import send
from churn.stores import objects, rollout_decisions
from churn.stores.registry import Registry
from churn.stores.rollout_decisions import Act, By, Decision
from churn.stores.settings import Settings
from churn.stores.traffic import Mode, Traffic, Variant, challenged, promoted, returned, withdrawn
from churn.stores.traffic_store import open_traffic
from components.evaluate.evaluation import Evaluation
from components.files import read_json
from local.rollout import judging
from local.rollout.judging import Judged


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """The document as it is now, and what was written down of the act; `problems` are with what only follows it: the
    database, MLflow's aliases, whoever is to be told."""

    document: Traffic
    decision: Decision
    problems: tuple[str, ...] = ()


class Wanted(msgspec.Struct, frozen=True):
    """A challenger as it is asked for."""

    version: int
    share: float
    mode: Mode = "split"


class Why(msgspec.Struct, frozen=True):
    """Which act it is, whose, and for what reason (one sentence)."""

    action: Act
    by: By
    reason: str


def start(settings: Settings, env: Mapping[str, str], model: str, wanted: Wanted) -> Done:
    """Gives a registered version a share of the customers; or the challenger of now another share or mode.

    Raises UserError for a version that is not registered, was refused by its gate, or whose bundle is gone or damaged,
    and ConflictError when somebody else was faster."""
    document = judging.document_of(settings, model)
    variant = _variant(settings, document, wanted.version)
    after = challenged(document, variant, wanted.share, wanted.mode)
    bundle = judging.bundle_of(settings, variant)
    if bundle.manifest.model != model:
        raise UserError(f"is a model of '{bundle.manifest.model}', not of '{model}'", where=variant.bundle)
    _require_passed(settings, variant)
    how = f"{wanted.share:.0%} of the customers" + (", in the shadow" if wanted.mode == "shadow" else "")
    return put(settings, env, document, after, Why("start", "person", f"version {wanted.version} gets {how}"))


def stop(settings: Settings, env: Mapping[str, str], model: str) -> Done:
    """Takes the challenger out. Raises UserError when there is none, ConflictError when somebody else was faster."""
    document = judging.document_of(settings, model)
    if document.challenger is None:
        raise UserError("has no challenger to stop", where=f"model {model}")
    why = Why("stop", "person", f"version {document.challenger.version} was stopped by hand")
    return put(settings, env, document, withdrawn(document), why)


def back(settings: Settings, env: Mapping[str, str], model: str) -> Done:
    """Puts the predecessor in charge again; a challenger, which was compared with another champion, leaves.

    Raises UserError when there is no predecessor, or when its bundle is gone or damaged, and ConflictError when
    somebody else was faster."""
    document = judging.document_of(settings, model)
    after = returned(document)
    reason = f"version {after.champion.version} was put back in the place of version {document.champion.version}"
    return put(settings, env, document, after, Why("back", "person", f"{reason} by hand"))


def apply(settings: Settings, env: Mapping[str, str], judged: Judged) -> Done | None:
    """Does what a verdict says; None where it says to wait.

    Raises ConflictError, and changes nothing, when the document is no longer the one that was judged."""
    before, said = judged.document, judged.verdict
    if said.action == "wait" or before.challenger is None:
        return None
    after = promoted(before, before.model, before.challenger) if said.action == "promote" else withdrawn(before)
    return put(settings, env, before, after, Why(said.action, "decide", said.reason))


def put(settings: Settings, env: Mapping[str, str], before: Traffic, after: Traffic, why: Why) -> Done:
    """Replaces `before` by `after`. What follows it must not fail it: from the moment it is written it serves.

    Raises UserError when the bundle of another champion is gone or damaged: predictors that start would serve nobody;
    and ConflictError, and changes nothing, when the document is no longer `before`."""
    if after.champion != before.champion:
        judging.bundle_of(settings, after.champion)
    written = open_traffic(settings).write(after, before.revision)
    decision = Decision(
        model=written.model,
        at=dt.datetime.now(dt.UTC),
        action=why.action,
        by=why.by,
        reason=why.reason,
        champion=written.champion.version,
        challenger=written.challenger.version if written.challenger else None,
        share=written.share,
        revision=written.revision,
    )
    severity: Severity = "info"
    if why.action == "roll back":
        severity = "warning" if written.champion == before.champion else "critical"
    told = _told(settings, env, decision, severity)
    problems = [*_recorded(settings, decision), *told, *_mirrored(settings, written)]
    return Done(document=written, decision=decision, problems=tuple(problems))


def _recorded(settings: Settings, decision: Decision) -> list[str]:
    try:
        rollout_decisions.record(settings.database, decision)
    except Exception as error:  # noqa: BLE001 - the document is written, and serves
        return [f"it is not written down: {_said(error)}"]
    return []


def _mirrored(settings: Settings, document: Traffic) -> list[str]:
    challenger = document.challenger.version if document.challenger else None
    try:
        Registry(settings).mirror_aliases(document.model, document.champion.version, challenger)
    except Exception as error:  # noqa: BLE001 - MLflow's own; aliases decide nothing
        return [f"MLflow's aliases are as before: {type(error).__name__}"]
    return []


_NEXT = {
    "start": "it is compared with the champion; see `churn rollout decide`",
    "stop": "the champion answers everybody",
    "promote": "it is watched by `churn rollout watch`",
    "roll back": "the other version answers everybody; find out what was wrong before you start it again",
    "back": "find out what was wrong before you start it again",
}


def _told(settings: Settings, env: Mapping[str, str], decision: Decision, severity: Severity) -> list[str]:
    notice = Notice(
        kind="rollout",
        model=decision.model,
        key=key(decision.model, "rollout", f"revision-{decision.revision}"),
        severity=severity,
        title=f"{decision.model}: {decision.reason}",
        lines=(f"Version {decision.champion} is the champion.",),
        next=_NEXT[decision.action],
        at=decision.at,
    )
    try:
        return [f"somebody was not told: {problem}" for problem in send(settings, notice, env).problems]
    except Exception as error:  # noqa: BLE001 - likewise
        return [f"nobody was told: {_said(error)}"]


def _said(error: Exception) -> str:
    """What was foreseen in its own words; of anything else the kind, for a driver's words may hold secrets."""
    return str(error) if isinstance(error, UserError | OSError) else type(error).__name__


def _variant(settings: Settings, document: Traffic, version: int) -> Variant:
    """A version by the document, or by the registry and the store of bundles. Raises UserError when there is none."""
    for one in (document.champion, document.challenger, document.previous):
        if one is not None and one.version == version:
            return one
    found = Registry(settings).versions(document.model)
    digest = next((one.digest for one in found if one.version == version), "")
    if not digest:
        known = ", ".join(str(one.version) for one in found) or "none"
        raise UserError(f"{document.model} has no version {version}", remedy=f"there are: {known}")
    return Variant(version, digest, objects.open_store(settings).address(f"bundles/{digest}"))


def _require_passed(settings: Settings, variant: Variant) -> None:
    """Raises UserError for a version whose own gate refused it."""
    folder = objects.open_store(settings, objects.root_of(variant.bundle)).fetch_folder(variant.bundle)
    file = folder / "evaluation.json"
    if file.is_file():
        judged = read_json(file, Evaluation)
        if not judged.passed:
            raise UserError(f"did not pass its gate: {judged.reason}", where=f"version {variant.version}")
