"""A monitoring run on this machine: what is asked, what came of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from churn.notices import channels
from churn.stores import files
from churn.stores.settings import Settings
from churn.stores.traffic import checked_model
from components.monitor_assemble.bounds import bounds
from components.monitor_assemble.times import require_days
from local import notices, screen
from local.asked import date_of, runner_of
from local.runner import Run, RunnerName, StepEvent

Listener = Callable[[StepEvent], None]


@dataclass(frozen=True)
class Request:
    """A monitoring run as it is asked for; checked as far as it can be before anything starts."""

    model: str = "telco"
    as_of: str = ""
    days: int = 30
    runner: RunnerName = "venv"

    @classmethod
    def parse(cls, model: str, *, as_of: str, days: int, runner: str) -> Request:
        """Reads what was typed. Raises UserError for what cannot be, also in the environment."""
        bounds(os.environ)
        channels.check(os.environ)
        return cls.checked(model, as_of=as_of, days=days, runner=runner)

    @classmethod
    def checked(cls, model: str, *, as_of: str = "", days: int = 30, runner: str = "venv") -> Request:
        """The request, wherever it is run. Raises UserError for what cannot be."""
        require_days(days, "--days")
        return cls(checked_model(model), date_of(as_of), days, runner_of(runner))


class Monitored(msgspec.Struct, frozen=True, kw_only=True):
    """What a monitoring run gives; `churn run monitoring --json` prints it."""

    run_id: str
    status: str
    reason: str
    worse: bool
    since: dict[str, str]
    judgement: dict[str, Any]
    told: str
    artifacts: dict[str, str]


def run(request: Request, on_step: Listener | None = None) -> Monitored:
    """Runs the pipeline. Raises UserError when the input is at fault, StepFailed when anything else is."""
    settings = Settings.load().prepare()
    from local import runner
    from pipelines.monitoring import monitoring

    arguments = {"model": request.model, "as_of": request.as_of, "days": request.days}
    done = runner.run(
        monitoring, arguments, name="monitoring", root=settings.home / "runs", on_step=on_step,
        runner=request.runner, environment=settings.environment() | notices.environment(os.environ),
    )  # fmt: skip
    _offer_metrics(settings, done, request.model)
    return _collect(done, _page(settings, done))


def show(done: Monitored) -> None:
    """Prints the verdict, and the columns with the largest effects."""
    screen.out.print(f"{done.reason}.", markup=False)
    findings = sorted(done.judgement["drift"]["findings"], key=lambda one: -one["effect"])
    if findings:
        screen.out.print(_table(findings[:_SHOWN]))
    screen.out.print(f"{done.told}.", markup=False)
    screen.out.print(f"report: {done.artifacts['report']}", markup=False)


_SHOWN = 6


def _table(findings: list[dict[str, Any]]) -> Table:
    shown = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("column", "effect", "p-value", "PSI", ""):
        shown.add_column(name, justify="left" if name in {"column", ""} else "right")
    for one in findings:
        drifted = "drifted" if one["drifted"] else ""
        shown.add_row(one["name"], f"{one['effect']:.3f}", f"{one['p_value']:.3g}", f"{one['psi']:.3f}", drifted)
    return shown


def _page(settings: Settings, done: Run) -> Path:
    """The report for people, under a name that a browser opens."""
    page = settings.home / "reports" / f"{done.run_id}.html"
    page.parent.mkdir(exist_ok=True)
    shutil.copyfile(done.step("monitor-record").outputs["page"].path, page)
    return page


def _offer_metrics(settings: Settings, done: Run, model: str) -> None:
    """Where node_exporter's textfile collector, or a person, finds the newest: never half of them."""
    metrics = Path(done.step("monitor-record").outputs["metrics"].path).read_bytes()
    files.write_atomically(settings.home / "metrics" / f"{model}.prom", metrics)


def _collect(done: Run, page: Path) -> Monitored:
    report = msgspec.json.decode(Path(done.step("monitor-record").outputs["report"].path).read_bytes())
    judgement = report["judgement"]
    artifacts = {
        f"{step.name}.{name}": value.uri
        for step in done.steps
        for name, value in step.outputs.items()
        if hasattr(value, "uri")
    }
    return Monitored(
        run_id=done.run_id,
        status=judgement["drift"]["status"],
        reason=judgement["reason"],
        worse=judgement["worse"],
        since=report["since"],
        judgement=judgement,
        told=done.step("monitor-notify").outputs["Output"],
        artifacts={"report": str(page)} | artifacts,
    )
