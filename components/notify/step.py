"""How a run ended, told to people: from the state that KFP knows, and from what the run itself wrote down."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import msgspec

from churn.domain.errors import UserError
from churn.notices.notice import Notice, Severity, key
from churn.notices.send import Sent, send_all
from churn.stores import retrainings
from churn.stores.retrainings import Retraining
from churn.stores.settings import Settings
from components.decide.step import leave

RETRAINING = "retraining"

_WELL = {"SUCCEEDED", "COMPLETE", "CACHED"}
_ILL = {"FAILED", "CANCELLED", "CANCELED"}
_UNFINISHED = {"running", "failed"}


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A run as its exit task sees it. `state` is KFP's: on this machine SUCCEEDED or FAILED, in a cluster the state of
    the metadata store, which calls success COMPLETE, and says RUNNING where a branch was left out."""

    model: str
    pipeline: str
    run: str = ""
    as_of: str = ""
    state: str = "SUCCEEDED"


def tell(settings: Settings, ended: Ended, env: Mapping[str, str]) -> Sent:
    """Tells how the run ended, and gives back its turn. Raises UserError for a fault of the channels' file alone."""
    try:
        decided = _left(settings, ended)
    except (UserError, OSError):
        decided = None  # a database that is away may be why the run failed: that is still to be told
    return send_all(settings, notices(ended, decided, dt.datetime.now(dt.UTC)), env)


def notices(ended: Ended, decided: Retraining | None, now: dt.datetime) -> tuple[Notice, ...]:
    """Failure; or that it is over, should there have been one, and what came of the run."""
    failed = key(ended.model, "failure", ended.pipeline)
    if not _is_well(ended, decided):
        return (_failure(ended, decided, failed, now),)
    over = Notice(
        kind="recovered", model=ended.model, key=failed, severity="info", at=now,
        title=f"{ended.model}: {ended.pipeline} runs again",
    )  # fmt: skip
    return (over, _success(decided, now)) if decided else (over,)


def _left(settings: Settings, ended: Ended) -> Retraining | None:
    """What a retraining run decided, once its turn is over."""
    if ended.pipeline != RETRAINING or not ended.run:
        return None
    leave(settings, ended.model, ended.run)
    return retrainings.of_run(settings.database, ended.model, ended.run)


def _is_well(ended: Ended, decided: Retraining | None) -> bool:
    if ended.state in _ILL or (decided and decided.outcome in _UNFINISHED):
        return False
    return ended.state in _WELL or decided is not None or ended.pipeline != RETRAINING


def _failure(ended: Ended, decided: Retraining | None, failed: str, now: dt.datetime) -> Notice:
    lines = [
        f"Run {ended.run or 'without a name'} did not come to its end ({ended.state}); its last step's log says why."
    ]
    if ended.as_of:
        lines.append(f"It was run as of {ended.as_of}.")
    if decided and decided.retrain:
        lines.append(f"It had begun to retrain: {decided.because}.")
    return Notice(
        kind="failure", model=ended.model, key=failed, severity="critical", at=now, lines=tuple(lines),
        title=f"{ended.model}: {ended.pipeline} failed",
        next=f"what serves goes on serving; {ended.pipeline} runs again when it is due, and a rerun is no harm",
    )  # fmt: skip


def _success(decided: Retraining, now: dt.datetime) -> Notice:
    version = decided.new_version
    title, after, about, severity = _ENDINGS.get(decided.outcome, _ENDINGS["none"])
    names = {"old": decided.version, "new": version}
    return Notice(
        kind="retraining",
        model=decided.model,
        key=key(decided.model, "retraining"),
        severity=severity,
        title=f"{decided.model}: {title.format(**names)}",
        lines=tuple(f"{part[:1].upper()}{part[1:]}." for part in (decided.because, decided.reason) if part),
        about=(about.format(**names),),
        next=after.format(**names),
        at=now,
    )


_ENDINGS: dict[str, tuple[str, str, str, Severity]] = {
    "none": ("not retrained", "version {old} goes on serving", "none", "info"),
    "promoted": (
        "retrained, version {new} is the champion",
        "predictors take it over by themselves",
        "version {new}",
        "info",
    ),
    "challenger": (
        "retrained, version {new} is the challenger",
        "it answers its share of the customers until the rollout is decided",
        "version {new}",
        "info",
    ),
    "refused": ("retrained, and refused by the gate", "version {old} goes on serving", "refused", "warning"),
}
"""By outcome: the title, what happens next, what must have been told of not to be told again, how bad it is."""
