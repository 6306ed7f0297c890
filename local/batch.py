"""A batch run on this machine: what is asked, what came of it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from churn.domain.errors import UserError
from churn.stores.addresses import redacted, store
from churn.stores.settings import Settings
from churn.stores.traffic import checked_model
from components.score.plan import require_shards
from local.asked import address_of, date_of, runner_of
from local.runner import Run, RunnerName, StepEvent

Listener = Callable[[StepEvent], None]

AT_ONCE = 2
"""Shards that KFP's local execution scores at a time."""

_SHARD = re.compile(r".*-iteration-(\d+)/score")


@dataclass(frozen=True)
class Request:
    """A batch run as it is asked for; checked as far as it can be before anything starts."""

    data: str
    as_of: str = ""
    shards: int = 0
    out: str = ""
    model: str = "telco"
    reasons: bool = False
    runner: RunnerName = "venv"

    @classmethod
    def parse(  # noqa: PLR0913 - what was typed, by name
        cls, data: str, *, from_store: bool, as_of: str, shards: int, out: str, model: str, reasons: bool, runner: str
    ) -> Request:
        """Reads what was typed. Raises UserError for what cannot be."""
        if bool(data) == from_store:
            remedy = "--data with a file, s3://… or postgresql://…; or --from-store"
            raise UserError("one source of customers is needed" if not data else "two sources", "--data", remedy)
        require_shards(shards, "--shards")
        place = store("--out", address_of(out)) if out else ""
        return cls(address_of(data), date_of(as_of), shards, place, checked_model(model), reasons, runner_of(runner))

    def arguments(self) -> dict[str, Any]:
        """The pipeline's arguments. Shards that run at once share the cores."""
        asked = {name: getattr(self, name) for name in ("model", "data", "as_of", "shards", "out", "reasons")}
        return {**asked, "threads": max(1, (os.cpu_count() or 1) // AT_ONCE)}


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch run gives; `churn run batch --json` prints it."""

    run_id: str
    status: str
    model: dict[str, Any]
    as_of: str
    data: dict[str, Any]
    shards: int
    scores: str
    database: dict[str, int]
    replaced: str
    summary: dict[str, Any]
    steps: list[dict[str, Any]]
    artifacts: dict[str, str]


def run(request: Request, on_step: Listener | None = None) -> Batch:
    """Runs the batch pipeline. Raises UserError when the input is at fault, StepFailed when anything else is."""
    settings = Settings.load().prepare()
    from local import runner
    from pipelines.batch import batch

    done = runner.run(
        batch, request.arguments(), name="batch", root=settings.home / "runs", on_step=_by_shard(on_step),
        runner=request.runner, environment=settings.environment(),
    )  # fmt: skip
    return _collect(done, request, _page(settings, done))


def _by_shard(on_step: Listener | None) -> Listener | None:
    """The listener, told of shards by their number."""
    if on_step is None:
        return None

    def listen(event: StepEvent) -> None:
        shard = _SHARD.fullmatch(event.step)
        on_step(replace(event, step=f"score, shard {int(shard[1]) + 1}") if shard else event)

    return listen


def _page(settings: Settings, done: Run) -> Path:
    """The summary for people, under a name that a browser opens."""
    page = settings.home / "reports" / f"{done.run_id}.html"
    page.parent.mkdir(exist_ok=True)
    shutil.copyfile(done.step("close-batch").outputs["page"].path, page)
    return page


def _collect(done: Run, request: Request, page: Path) -> Batch:
    planned, closed = done.step("plan-batch").outputs, done.step("close-batch").outputs
    found = msgspec.json.decode(Path(closed["summary"].path).read_bytes())
    summary = found["summary"]
    return Batch(
        run_id=done.run_id,
        status=done.status,
        model={name: summary[name] for name in ("version", "digest")} | {"name": summary["model"]},
        as_of=summary["as_of"],
        data={
            "address": redacted(request.data) or "offline store",
            "digest": planned["snapshot"].metadata["digest"],
            "rows": summary["rows"],
            "scored": summary["scored"],
            "quarantined": summary["quarantined"],
        },
        shards=len(planned["Output"]),
        scores=found["address"],
        database=found["database"],
        replaced=found["replaced"],
        summary=summary,
        steps=[{"name": step.name, "image": step.image, "seconds": round(step.seconds, 2)} for step in done.steps],
        artifacts={"report": str(page), "summary": closed["summary"].uri, "scores": closed["scores"].uri},
    )
