"""How the pipelines are run: through KFP on this machine, or step by step in this process."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

ExecutorName = Literal["kfp", "direct"]
EXECUTORS: tuple[ExecutorName, ...] = get_args(ExecutorName)


@dataclass(frozen=True)
class Trained:
    """What a run of the training pipeline came to; `tasks` are the steps that ran."""

    promoted: bool
    reason: str
    tasks: list[str]


@dataclass(frozen=True)
class Looped:
    """What a run of the retraining pipeline came to, as `local.retraining.Retraining` has it."""

    retrain: bool
    because: str
    outcome: str
    reason: str
    version: int | None
    monitoring: dict[str, Any]
    tasks: list[str]


class Executor(Protocol):
    """Runs pipelines on simulated dates."""

    def train(self, table: Path, contract: Path, as_of: dt.date) -> Trained:
        """The training pipeline."""

    def loop(self, model: str, as_of: dt.date) -> Looped:
        """The retraining pipeline, which begins with monitoring."""


@dataclass(frozen=True)
class Kfp:
    """Through KFP's local execution, each step with the interpreter of its role.

    Requests get their dates when they have been checked: a simulated one may lie ahead of the clock."""

    candidates: str

    def train(self, table: Path, contract: Path, as_of: dt.date) -> Trained:
        """The training pipeline."""
        from local import training

        asked = training.Request.parse(
            str(table), [f"candidates={self.candidates}"], contract=str(contract), model="", as_of="", runner="venv"
        )
        done = training.run(replace(asked, as_of=as_of.isoformat()))
        return Trained(done.promoted, done.reason, [f"{done.run_id}/{step['name']}" for step in done.steps])

    def loop(self, model: str, as_of: dt.date) -> Looped:
        """The retraining pipeline."""
        from local import retraining

        asked = retraining.Request.parse(model, candidates=self.candidates)
        done = retraining.run(replace(asked, as_of=as_of.isoformat()))
        return Looped(**{name: getattr(done, name) for name in Looped.__dataclass_fields__})


def executor(name: ExecutorName, candidates: str, folder: Path) -> Executor:
    """The one of that name; a direct one keeps its files in `folder`."""
    if name == "kfp":
        return Kfp(candidates)
    from local.simulation.direct import Direct

    return Direct(candidates, folder)
