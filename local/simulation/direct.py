"""The pipelines' own steps called one after another in this process: for a benchmark of many years, in which nine
seconds of imports a step would count most. KFP takes no part, and no image's role: the judge's tests are the domain's
own instead of alibi-detect's, which they are held to elsewhere. A test holds both ways of a year to the same figures.
"""

from __future__ import annotations

import datetime as dt
import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kfp import dsl

from churn.domain.errors import UserError
from churn.stores.settings import Settings
from components.assemble.component import assemble
from components.conclude.component import conclude
from components.decide.component import decide
from components.decide.step import leave
from components.evaluate.component import evaluate
from components.files import read_json, write_json
from components.ingest.component import ingest
from components.materialise.component import materialise
from components.monitor_assemble.component import monitor_assemble
from components.monitor_judge.report import Monitoring
from components.monitor_judge.step import Inputs, judge
from components.monitor_record.component import monitor_record
from components.promote.component import promote
from components.reporting import TERMINATION_LOG
from components.train.component import train
from components.transform.component import transform
from components.validate.component import validate
from local.simulation.loop import Looped, Trained

Artifacts = dict[str, Any]


@dataclass
class Direct:
    """Steps leave their files in folders below `folder`, one a run."""

    candidates: str
    folder: Path
    _runs: int = 0

    def train(self, table: Path, contract: Path, as_of: dt.date) -> Trained:
        """What `pipelines.training` does."""
        run = self._run("training")
        taken = run.step(ingest, data=str(table), contract=str(contract), as_of=as_of.isoformat())
        terms, snapshot = taken["contract_file"], taken["snapshot"]
        checked = run.step(validate, contract=terms, snapshot=snapshot)
        judged = _Judged(run, terms, snapshot, checked["valid"], checked["report"], self.candidates)
        if judged.passed:
            judged.introduce()
        return Trained(judged.passed, judged.reason, run.tasks)

    def loop(self, model: str, as_of: dt.date) -> Looped:
        """What `pipelines.retraining` does; its exit task gives the turn back, but tells nobody."""
        run = self._run("retraining")
        try:
            return self._looped(run, model, as_of)
        finally:
            leave(Settings.load(), model, run.name)

    def _looped(self, run: _Run, model: str, as_of: dt.date) -> Looped:
        seen = run.step(monitor_assemble, model=model, as_of=as_of.isoformat())
        found = run.judge(seen)
        recorded = run.step(monitor_record, judgement=found.artifact)
        decided = run.step(decide, report=recorded["report"], predictions=seen["predictions"], run=run.name)
        result: dict[str, Any] = {"outcome": "none", "reason": "", "version": None}
        if decided["retrain"]:
            result = self._retrain(run, seen["contract"], decided)
        return Looped(
            decided["retrain"], decided["because"], **result, monitoring=_said(found.monitoring), tasks=run.tasks
        )

    def _retrain(self, run: _Run, terms: dsl.Artifact, decided: Artifacts) -> dict[str, Any]:
        decision = decided["decision"]
        rows = run.step(assemble, contract=terms, decision=decision, as_of=decided["as_of"])
        judged = _Judged(run, terms, rows["snapshot"], rows["valid"], rows["report"], self.candidates)
        ended: Artifacts = {
            "run": run.name, "bundle": judged.bundle, "decision": decision, "evaluation": judged.evaluation,
        }  # fmt: skip
        if judged.passed:
            ended["promotion"] = judged.introduce()
        done = run.step(conclude, **ended)
        version = read_json(done["report"].path, dict[str, Any])["new_version"]
        return {"outcome": done["outcome"], "reason": done["reason"], "version": version}

    def _run(self, pipeline: str) -> _Run:
        self._runs += 1
        return _Run(f"{pipeline}-{self._runs}", self.folder)


@dataclass(frozen=True)
class _Verdict:
    artifact: dsl.Artifact
    monitoring: Monitoring


@dataclass
class _Run:
    """One run of a pipeline: calls steps with the artifacts that KFP would give them."""

    name: str
    folder: Path
    tasks: list[str] = field(default_factory=list)

    def step(self, component: Any, **inputs: Any) -> Artifacts:
        """Calls a component's function; gives its artifacts and its outputs by name."""
        function = component.python_func
        place = self._place(function.__name__)
        made = {
            name: _artifact(kind, place / name)
            for name, kind in inspect.get_annotations(function).items()
            if name != "return" and _is_output(kind)
        }
        with (place / "log.txt").open("w", encoding="utf-8") as log, redirect_stdout(log), _faults(place / "fault.txt"):
            given = function(**inputs, **made)
        names = getattr(inspect.get_annotations(function)["return"], "_fields", ())
        return made | dict(zip(names, given or (), strict=True))

    def judge(self, seen: Artifacts) -> _Verdict:
        """The judge without alibi-detect."""
        place = self._place("monitor_judge") / "judgement"
        names = ("contract", "reference", "window", "predictions", "facts")
        found = judge(Inputs(*(Path(seen[name].path) for name in names)))
        write_json(str(place), found)
        return _Verdict(dsl.Artifact(uri=str(place)), found)

    def _place(self, step: str) -> Path:
        name = step.replace("_", "-")
        self.tasks.append(f"{self.name}/{name}")
        place = self.folder / self.name / name
        place.mkdir(parents=True)
        return place


class _Judged:
    """The steps from valid rows to the gate's verdict, as `pipelines.training.judged` composes them."""

    def __init__(  # noqa: PLR0913, PLR0917 - a run, its rows as four artifacts, and who is tried
        self, run: _Run, terms: Any, snapshot: Any, valid: Any, validation: Any, candidates: str
    ) -> None:
        self._run, self._rows = run, {"contract": terms, "snapshot": snapshot}
        done = run.step(transform, **self._rows, valid=valid)
        self._features = done["features"]
        trained = run.step(
            train, **self._rows, features=self._features, entities=done["entities"], candidates=candidates
        )
        self.bundle = trained["bundle"]
        seen = run.step(
            evaluate, **self._rows, validation=validation, bundle=self.bundle, scored=trained["scored"],
            training=trained["report"],
        )  # fmt: skip
        self.evaluation, self.passed, self.reason = seen["evaluation"], bool(seen["passed"]), str(seen["reason"])

    def introduce(self) -> Any:
        """Puts the bundle in charge; gives the report of that."""
        self._run.step(materialise, **self._rows, features=self._features)
        return self._run.step(promote, **self._rows, bundle=self.bundle, evaluation=self.evaluation)["report"]


def _said(found: Monitoring) -> dict[str, Any]:
    return {
        "status": found.drift.status,
        "reason": found.reason,
        "worse": found.worse,
        "drifted": [one.name for one in found.drift.findings if one.drifted],
        "rows": found.drift.rows,
    }


def _is_output(kind: Any) -> bool:
    return any("Output" in type(one).__name__ or "Output" in repr(one) for one in getattr(kind, "__metadata__", ()))


def _artifact(kind: Any, place: Path) -> dsl.Artifact:
    made: dsl.Artifact = kind.__origin__(name=place.name, uri=str(place))
    return made


@contextmanager
def _faults(file: Path) -> Iterator[None]:
    """A step that ends its process for a fault of the input raises it here."""
    before = os.environ.get(TERMINATION_LOG)
    os.environ[TERMINATION_LOG] = str(file)
    try:
        yield
    except SystemExit as error:
        raise UserError(file.read_text(encoding="utf-8") if file.exists() else str(error)) from error
    finally:
        os.environ.pop(TERMINATION_LOG)
        if before is not None:
            os.environ[TERMINATION_LOG] = before
