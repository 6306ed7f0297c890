"""What has to be done so that the cluster is as declared: decided here, done elsewhere.

The invariant: at no moment are two recurring runs of one schedule enabled, whichever call is the last to come through;
and once a later reconciliation has come to its end, exactly those are enabled that should be. It holds for one that
reconciles at a time; what two at once leave, the next puts right.

A recurring run of KFP cannot be changed but for being enabled or disabled, so a changed one gets a successor: created
disabled (KFP refuses it now, or never), then the predecessor is disabled, then the successor enabled, then the
predecessor deleted. One that has been disabled for a while is never enabled again, it gets a successor as well: KFP
would at once start it for the last time that it missed, even without catch-up."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

import msgspec

from local.schedules.declaration import Declaration, Schedule

Kind = Literal[
    "create pipeline", "upload version", "create experiment", "create", "disable", "enable", "delete",
]  # fmt: skip

_MARK = re.compile(r"managed-by churn-mlops; owner (\S+); schedule (\S+); declaration ([0-9a-f]{16})")


class RecurringRun(NamedTuple):
    """One of ours in the cluster, as its description and its state tell."""

    id: str
    schedule: str
    declaration: str
    enabled: bool
    created: str


class Observed(msgspec.Struct):
    """What the cluster holds: ids by name (a version's by its pipeline's), and the owner's recurring runs."""

    pipelines: dict[str, str]
    versions: dict[str, str]
    experiments: dict[str, str]
    runs: list[RecurringRun]


class Step(msgspec.Struct, frozen=True):
    """One call: what is done to what, and why. `target` is the id of what exists; a created one's is not known yet."""

    kind: Kind
    subject: str
    because: str
    target: str = ""


def mark(owner: str, schedule: str, declaration: str) -> str:
    """The description by which a recurring run is known as ours; KFP keeps 255 characters."""
    return f"managed-by churn-mlops; owner {owner}; schedule {schedule}; declaration {declaration}"


def marked(description: str | None, name: str | None, owner: str) -> tuple[str, str] | None:
    """Schedule and declaration of a recurring run of this owner; None for another's, and for a copy of ours."""
    found = _MARK.fullmatch(description or "")
    return (found[2], found[3]) if found and found[1] == owner and found[2] == name else None


def plan(declared: Declaration, versions: dict[str, str], observed: Observed) -> list[Step]:
    """The calls to make, in their order; none when all is as declared. `versions` names each pipeline's version."""
    wanted = [schedule for schedule in declared.schedules if schedule.enabled]
    steps = _foundations(wanted, versions, observed)
    for schedule in wanted:
        ours = [run for run in observed.runs if run.schedule == schedule.name]
        steps += _enabled(schedule, schedule.digest(versions[schedule.pipeline]), ours)
    named = {schedule.name: "declared disabled" for schedule in declared.schedules}
    for run in observed.runs:
        if run.enabled and run.schedule not in {schedule.name for schedule in wanted}:
            steps.append(Step("disable", run.schedule, named.get(run.schedule, "no longer declared"), run.id))
    return steps


def _foundations(wanted: Iterable[Schedule], versions: dict[str, str], observed: Observed) -> list[Step]:
    """The pipelines, versions and experiments that are not there yet."""
    steps: list[Step] = []
    for pipeline in sorted({schedule.pipeline for schedule in wanted}):
        if pipeline not in observed.pipelines:
            steps.append(Step("create pipeline", pipeline, "there is none of this name"))
        if pipeline not in observed.versions:
            steps.append(Step("upload version", pipeline, f"there is no {versions[pipeline]}"))
    missing = sorted({schedule.experiment for schedule in wanted} - set(observed.experiments))
    return steps + [Step("create experiment", name, "there is none of this name") for name in missing]


def _enabled(schedule: Schedule, declaration: str, ours: list[RecurringRun]) -> list[Step]:
    """Leaves one recurring run of this schedule, enabled and as declared; of several the oldest."""
    right = [run for run in ours if run.enabled and run.declaration == declaration]
    kept = min(right, key=lambda run: (run.created, run.id), default=None)
    others = [run for run in ours if run != kept]
    because = "a successor is enabled" if kept is None else "another is enabled"
    disable = [Step("disable", schedule.name, because, run.id) for run in others if run.enabled]
    delete = [Step("delete", schedule.name, because, run.id) for run in others]
    if kept:
        return disable + delete
    return [
        Step("create", schedule.name, _reason(declaration, ours)),
        *disable,
        Step("enable", schedule.name, "as declared"),
        *delete,
    ]


def _reason(declaration: str, ours: list[RecurringRun]) -> str:
    if not ours:
        return "there is none of this name"
    same = any(run.declaration == declaration for run in ours)
    return "it is disabled" if same and not any(run.enabled for run in ours) else "the declaration has changed"
