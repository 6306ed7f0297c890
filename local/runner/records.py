"""What a run leaves to its caller: steps, events, and the error of a step that failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

RunnerName = Literal["venv", "docker"]
RUNNERS: tuple[RunnerName, ...] = get_args(RunnerName)

Status = Literal["SUCCEEDED", "FAILED"]


@dataclass(frozen=True, slots=True)
class StepEvent:
    """A change in the life of a step; `seconds` since the step started."""

    kind: Literal["started", "finished", "failed"]
    step: str
    image: str
    seconds: float
    log: Path


@dataclass(frozen=True, slots=True)
class Step:
    """A step that ran.

    Its name is the task's in the pipeline; inside a loop the iteration comes first (`for-loop-1-iteration-0/score`).
    `outputs` holds what KFP hands downstream: a parameter's value, or an artifact with `uri`, `path` and `metadata`.
    """

    name: str
    image: str
    seconds: float
    status: Status
    log: Path
    outputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a pipeline: the steps that ran, in the order they ended, and the outputs of the pipeline itself."""

    run_id: str
    status: Status
    steps: list[Step]
    folder: Path
    outputs: Mapping[str, Any] = field(default_factory=dict)

    def step(self, name: str) -> Step:
        """The step of that name. Raises KeyError when none ran."""
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(f"no step {name!r} ran in {self.run_id}; these did: {[step.name for step in self.steps]}")

    def __contains__(self, name: object) -> bool:
        return any(step.name == name for step in self.steps)


class StepFailed(Exception):  # noqa: N818 (it says what happened)
    """A step failed, and not for a fault in the user's input; its log says why."""

    def __init__(self, step: str, log: Path, reason: str) -> None:
        super().__init__(step, log, reason)
        self.step = step
        self.log = log
        self.reason = reason
        self.run: Run | None = None

    def __str__(self) -> str:
        return f"step {self.step} failed: {self.reason} (its log: {self.log})"
