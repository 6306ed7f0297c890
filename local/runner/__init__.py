"""Runs a KFP pipeline on this machine, each step with what the image of its role holds."""

from local.runner.execution import RUNNERS, RunnerName, run
from local.runner.records import Run, Step, StepEvent, StepFailed

__all__ = ["RUNNERS", "Run", "RunnerName", "Step", "StepEvent", "StepFailed", "run"]
