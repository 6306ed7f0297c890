"""Runs a KFP pipeline on this machine, each step with what the image of its role holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.runner.records import RUNNERS, Run, RunnerName, Step, StepEvent, StepFailed

if TYPE_CHECKING:
    from local.runner.execution import run

__all__ = ["RUNNERS", "Run", "RunnerName", "Step", "StepEvent", "StepFailed", "release", "run"]


def release() -> None:
    """Gives back the memory of what runs keep for the next one, as the end of this process would."""
    from local.runner.warm import INTERPRETERS

    INTERPRETERS.close()


def __getattr__(name: str) -> Any:
    """Loads KFP with the first use of `run`: a command line that only shows its help does without."""
    if name == "run":
        from local.runner.execution import run

        return run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
