"""A retraining run on this machine: what is asked, what was decided, what came of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from churn.domain.errors import UserError
from churn.notices import channels
from churn.stores import files, leases
from churn.stores.addresses import sqlite_file
from churn.stores.settings import Settings
from churn.stores.traffic import checked_model
from components.decide.bounds import bounds as retraining_bounds
from components.decide.step import lease_of
from components.evaluate.evaluation import Rule
from components.monitor_assemble.bounds import bounds as drift_bounds
from components.monitor_assemble.times import require_days
from local import notices, screen
from local.asked import address_of, date_of, runner_of
from local.runner import Run, RunnerName, StepEvent

Listener = Callable[[StepEvent], None]
Outcome = Literal["none", "promoted", "challenger", "refused"]


@dataclass(frozen=True)
class Request:
    """A retraining run as it is asked for; checked as far as it can be before anything starts."""

    model: str = "telco"
    as_of: str = ""
    days: int = 30
    window_days: int = 90
    data: str = ""
    force: bool = False
    share: float = 0.0
    candidates: str = ""
    comparison: str = ""
    runner: RunnerName = "venv"

    @classmethod
    def parse(cls, model: str, **asked: Any) -> Request:
        """Reads what was typed. Raises UserError for what cannot be, also in the environment."""
        drift_bounds(os.environ)
        retraining_bounds(os.environ)
        channels.check(os.environ)
        return cls.checked(model, **asked)

    @classmethod
    def checked(cls, model: str, *, as_of: str = "", data: str = "", runner: str = "venv", **others: Any) -> Request:
        """The request, wherever it is run. Raises UserError for what cannot be."""
        asked = cls(
            model=checked_model(model), as_of=date_of(as_of), data=address_of(data), runner=runner_of(runner), **others
        )
        for days, where in ((asked.days, "--days"), (asked.window_days, "--window")):
            require_days(days, where)
        rules = get_args(Rule)
        if asked.comparison and asked.comparison not in rules:
            raise UserError(f"'{asked.comparison}' is no rule", "--comparison", f"one of {', '.join(rules)}")
        if not 0 <= asked.share < 1:
            raise UserError(f"{asked.share:g} is no share of the customers", "--share", "0, or like 0.1")
        return asked

    def arguments(self) -> dict[str, Any]:
        """The pipeline's arguments."""
        names = ("model", "as_of", "days", "window_days", "data", "force", "share", "candidates", "comparison")
        return {name: getattr(self, name) for name in names}


class Retraining(msgspec.Struct, frozen=True, kw_only=True):
    """What a retraining run gives; `churn run retraining --json` prints it.

    `because` says why a model was trained or not, `reason` what came of it. `tasks` are the KFP tasks that ran."""

    run_id: str
    model: str
    as_of: str
    retrain: bool
    because: str
    outcome: Outcome
    reason: str
    version: int | None
    monitoring: dict[str, Any]
    metrics: dict[str, dict[str, float]]
    told: str
    tasks: list[str]
    artifacts: dict[str, str]


def run(request: Request, on_step: Listener | None = None) -> Retraining:
    """Runs the pipeline. Raises UserError when the input is at fault or another run of the model is under way,
    StepFailed when anything else goes wrong."""
    settings = Settings.load().prepare()
    with _turn(settings, request.model):
        from local import runner
        from pipelines.retraining import retraining

        done = runner.run(
            retraining, request.arguments(), name="retraining", root=settings.home / "runs", on_step=on_step,
            runner=request.runner, environment=settings.environment() | notices.environment(os.environ),
        )  # fmt: skip
    return _collect(done, request, _pages(settings, done))


def show(done: Retraining) -> None:
    """Prints the decision, and what came of it."""
    screen.out.print(f"{done.because}.", markup=False)
    if done.retrain:
        screen.out.print(f"{done.reason}.", markup=False)
    screen.out.print(f"{done.told}.", markup=False)
    for name in ("monitoring", "evaluation"):
        if name in done.artifacts:
            screen.out.print(f"{name}: {done.artifacts[name]}", markup=False)


@contextmanager
def _turn(settings: Settings, model: str) -> Iterator[None]:
    """One retraining of a model at a time. A turn that stands in a file is nobody's when no process here has the lock;
    in a database that others reach as well, it runs out."""
    with files.try_locked(settings.home / "locks" / f"retraining-{model}") as is_ours:
        if not is_ours:
            raise UserError("another retraining is under way", where=f"model {model}", remedy="wait for it to end")
        if sqlite_file(settings.database) is not None and (left := leases.current(settings.database, lease_of(model))):
            leases.release(settings.database, left.name, left.holder)
        yield


def _pages(settings: Settings, done: Run) -> dict[str, str]:
    """The reports for people, under names that a browser opens."""
    pages = {}
    for name, step, output in (("monitoring", "monitor-record", "page"), ("evaluation", "evaluate", "report")):
        if step in done:
            page = settings.home / "reports" / f"{done.run_id}-{name}.html"
            page.parent.mkdir(exist_ok=True)
            shutil.copyfile(done.step(step).outputs[output].path, page)
            pages[name] = str(page)
    return pages


def _collect(done: Run, request: Request, pages: dict[str, str]) -> Retraining:
    decided = done.step("decide").outputs
    judged = _json(done.step("monitor-record").outputs["report"].path)["judgement"]
    concluded = next((step for step in done.steps if step.name.startswith("conclude")), None)
    result: Any = _json(concluded.outputs["report"].path) if concluded else {"outcome": "none", "reason": ""}
    evaluation = _json(done.step("evaluate").outputs["evaluation"].path) if concluded else {"metrics": {}}
    return Retraining(
        run_id=done.run_id,
        model=request.model,
        as_of=decided["as_of"],
        retrain=decided["retrain"],
        because=decided["because"],
        outcome=result["outcome"],
        reason=result["reason"],
        version=result.get("new_version"),
        monitoring={
            "status": judged["drift"]["status"],
            "reason": judged["reason"],
            "worse": judged["worse"],
            "drifted": [one["name"] for one in judged["drift"]["findings"] if one["drifted"]],
            "rows": judged["drift"]["rows"],
        },
        metrics=evaluation["metrics"],
        told=done.step("notify").outputs["said"],
        tasks=[f"{done.run_id}/{step.name}" for step in done.steps],
        artifacts=pages,
    )


def _json(path: str) -> Any:
    return msgspec.json.decode(Path(path).read_bytes())
