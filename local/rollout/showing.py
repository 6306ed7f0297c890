"""What a person, or a program, sees of a rollout."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.table import Table

from churn.domain.errors import UserError
from churn.domain.rollout.evidence import Evidence
from churn.domain.rollout.verdict import Pair
from churn.stores import rollout_decisions
from churn.stores.rollout_decisions import Decision
from churn.stores.settings import Settings
from churn.stores.traffic import Traffic
from local import screen
from local.rollout import judging
from local.rollout.acting import Done
from local.rollout.judging import Judged


class Status(msgspec.Struct, frozen=True):
    """What serves, and what was done about it, the newest first; `problem` where that is not known."""

    traffic: Traffic
    decisions: list[Decision]
    problem: str = ""


def status(model: str) -> Status:
    """Reads the document and the table of decisions. Raises UserError when nothing serves, or its store is away."""
    settings = Settings.load().prepare()
    document = judging.document_of(settings, model)
    try:
        return Status(document, rollout_decisions.latest(settings.database, model))
    except UserError as error:
        return Status(document, [], f"what was done before is not known: {error}")


def show_status(found: Status) -> None:
    """Prints it."""
    screen.out.print(_who(found.traffic), markup=False, soft_wrap=True)
    if found.problem:
        screen.tell(found.problem)
    for one in found.decisions:
        screen.out.print(
            f"{one.at:%Y-%m-%d %H:%M} UTC, {one.action} ({one.by}): {one.reason}", markup=False, soft_wrap=True
        )


def show_done(done: Done) -> None:
    """Prints what was done, and what went wrong after it."""
    screen.out.print(f"{done.decision.reason}. {_who(done.document)}", markup=False, soft_wrap=True)
    for problem in done.problems:
        screen.tell(problem)


def decision(judged: Judged, done: Done | None) -> dict[str, Any]:
    """A decision as one JSON document."""
    return {
        "action": judged.verdict.action,
        "reason": judged.verdict.reason,
        "applied": done is not None,
        "traffic": msgspec.to_builtins(done.document if done else judged.document),
        "evidence": msgspec.to_builtins(judged.evidence),
        "live": [{"new": _figures(pair)[0], "other": _figures(pair)[1]} for pair in judged.live],
        "silence": judged.silence,
        "problems": list(done.problems) if done else [],
    }


def show_decision(judged: Judged, done: Done | None) -> None:
    """Prints the verdict, and what it rests on."""
    screen.out.print(f"{judged.verdict.reason}.", markup=False, soft_wrap=True)
    screen.out.print(_outcomes(judged.evidence), markup=False, soft_wrap=True)
    if judged.live:
        screen.out.print(_table(judged.live[-1]))
    else:
        screen.out.print(f"{judged.silence}.", markup=False, soft_wrap=True)
    if done is not None:
        show_done(done)
    elif judged.verdict.action != "wait":
        screen.tell("nothing was changed; --apply does it")


def _who(document: Traffic) -> str:
    beside = ""
    if document.challenger is not None:
        what = "scores a copy of the requests of" if document.mode == "shadow" else "gets"
        beside = f", version {document.challenger.version} {what} {document.share:.0%} of the customers"
    before = f"; before it was version {document.previous.version}" if document.previous else ""
    return f"Version {document.champion.version} of {document.model} is the champion{beside}{before}."


def _outcomes(found: Evidence) -> str:
    told = f"{found.customers:,} customers, {found.challenged:,} of them met the challenger; "
    told += f"{found.judged:,} have an outcome, {found.pending:,} are waited for"
    if found.brier is not None:
        low, high = found.brier.low, found.brier.high
        told += f"; Brier score better by {found.brier.mean:+.4f} ({low:+.4f} to {high:+.4f})"
    return f"{told}."


def _figures(pair: Pair) -> list[dict[str, float | None]]:
    return [
        {"requests": one.requests, "errors": one.errors, "error_rate": one.error_rate, "p99": one.p99}
        for one in (pair.new, pair.other)
    ]


def _table(pair: Pair) -> Table:
    shown = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("", "requests", "failed", "p99 ms"):
        shown.add_column(name, justify="right" if name else "left")
    for who, one in (("challenger", pair.new), ("champion", pair.other)):
        rate, p99 = one.error_rate, one.p99
        shown.add_row(
            who,
            f"{one.requests:,.0f}",
            "-" if rate is None else f"{rate:.1%}",
            "-" if p99 is None else f"{p99 * 1000:,.1f}",
        )
    return shown
