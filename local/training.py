"""A training run on this machine: what is asked, what came of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import msgspec

from churn.domain.errors import UserError
from churn.domain.formula import nearest
from churn.stores.addresses import redacted
from churn.stores.settings import Settings
from local.asked import address_of, date_of, runner_of
from local.runner import Run, RunnerName, StepEvent

Listener = Callable[[StepEvent], None]

_OWN_OPTIONS = frozenset({"data", "contract", "model", "as_of"})


@dataclass(frozen=True)
class Request:
    """A training run as it is asked for; checked as far as it can be before anything starts."""

    data: str
    contract: str = "telco"
    model: str = ""
    as_of: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    runner: RunnerName = "venv"

    @classmethod
    def parse(cls, data: str, params: list[str], *, contract: str, model: str, as_of: str, runner: str) -> Request:  # noqa: PLR0913
        """Reads what was typed. Raises UserError for what cannot be."""
        if not data:
            raise UserError(
                "no table is given", where="--data", remedy="a file, s3://…, or postgresql://…; try `churn demo`"
            )
        return cls(address_of(data), _contract(contract), model, date_of(as_of), _params(params), runner_of(runner))

    def arguments(self) -> dict[str, Any]:
        """The pipeline's arguments."""
        own = {"data": self.data, "contract": self.contract, "model": self.model, "as_of": self.as_of}
        return {**own, **self.params}


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """What a training run gives; `churn run training --json` prints it."""

    run_id: str
    status: str
    model: dict[str, Any]
    promoted: bool
    reason: str
    data: dict[str, Any]
    contract: dict[str, str]
    steps: list[dict[str, Any]]
    candidates: list[dict[str, Any]]
    metrics: dict[str, dict[str, float]]
    gate: list[dict[str, Any]]
    artifacts: dict[str, str]


def run(request: Request, on_step: Listener | None = None) -> Training:
    """Runs the training pipeline. Raises UserError when the input is at fault, StepFailed when anything else is."""
    settings = Settings.load().prepare()
    from local import runner
    from pipelines.training import training

    done = runner.run(
        training, request.arguments(), name="training", root=settings.home / "runs", on_step=on_step,
        runner=request.runner, environment=settings.environment(),
    )  # fmt: skip
    return _collect(done, request, _page(settings, done))


def _page(settings: Settings, done: Run) -> Path:
    """The report for people, under a name that a browser opens."""
    page = settings.home / "reports" / f"{done.run_id}.html"
    page.parent.mkdir(exist_ok=True)
    shutil.copyfile(done.step("evaluate").outputs["report"].path, page)
    return page


def _collect(done: Run, request: Request, page: Path) -> Training:
    """The one document, from what the steps left."""
    ingested, trained, judged = (done.step(name).outputs for name in ("ingest", "train", "evaluate"))
    report, evaluation = _json(trained["report"].path), _json(judged["evaluation"].path)
    validation = _json(done.step("validate").outputs["report"].path)
    promoted = "promote" in done
    version = _json(done.step("promote").outputs["report"].path)["version"] if promoted else None
    snapshot, contract = ingested["snapshot"].metadata, ingested["contract_file"].metadata
    return Training(
        run_id=done.run_id,
        status=done.status,
        model={"name": contract["name"], "version": version, "digest": report["digest"]},
        promoted=promoted,
        reason=evaluation["reason"],
        data={
            "address": redacted(request.data),
            "digest": snapshot["digest"],
            "rows": int(snapshot["rows"]),
            "quarantined": validation["quarantined"],
            "duplicates": validation["duplicates"],
        },
        contract={"name": contract["name"], "digest": contract["digest"]},
        steps=[{"name": step.name, "image": step.image, "seconds": round(step.seconds, 2)} for step in done.steps],
        candidates=report["candidates"],
        metrics={"cv": report["cv"], "holdout": evaluation["metrics"]["holdout"]},
        gate=evaluation["gate"],
        artifacts={"report": str(page)} | _artifacts(done),
    )


def _artifacts(done: Run) -> dict[str, str]:
    """Where each step's outputs lie, as step.name."""
    found = {}
    for step in done.steps:
        for name, value in step.outputs.items():
            if hasattr(value, "uri"):
                found[f"{step.name}.{name}"] = value.uri
    return found


def _json(path: str) -> Any:
    return msgspec.json.decode(Path(path).read_bytes())


def _contract(name: str) -> str:
    """A file's absolute path, or the bare name of a contract that comes with the project."""
    is_file = name.endswith((".yaml", ".yml")) or "/" in name
    return address_of(name) if is_file else name


def _params(given: list[str]) -> dict[str, Any]:
    from pipelines.training import training

    inputs = {name: spec for name, spec in (training.component_spec.inputs or {}).items() if name not in _OWN_OPTIONS}
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not value:
            raise UserError(f"'{text}' is not name=value", where="--param")
        if name not in inputs:
            raise UserError(f"unknown parameter '{name}'", where="--param", remedy=nearest(name, list(inputs)))
        found[name] = _typed(name, value, inputs[name].type)
    _check(found)
    return found


def _check(params: dict[str, Any]) -> None:
    """Asks those that read the values, before anything starts. Raises UserError for one that is none."""
    from components.evaluate.evaluation import Rule

    rules = get_args(Rule)
    if params.get("comparison", rules[0]) not in rules:
        raise UserError(
            f"'{params['comparison']}' is no rule", where="--param comparison", remedy=f"one of {', '.join(rules)}"
        )
    others = {name: value for name, value in params.items() if name != "comparison"}
    if others:
        from components.train.options import options

        options(**others)


def _typed(name: str, value: str, kind: str) -> Any:
    convert: dict[str, Callable[[str], Any]] = {
        "NUMBER_INTEGER": int,
        "Integer": int,
        "NUMBER_DOUBLE": float,
        "Float": float,
    }
    try:
        return convert.get(kind, str)(value)
    except ValueError:
        raise UserError(f"'{value}' is not a number", where=f"--param {name}") from None
