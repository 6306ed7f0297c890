from __future__ import annotations

import copy
from pathlib import Path

import pytest

from local.runner import Run, Step, StepFailed


def a_step(name: str) -> Step:
    return Step(name, "churn/monitoring:dev", 0.1, "SUCCEEDED", Path("log"))


def test_a_run_finds_its_steps_by_name() -> None:
    run = Run("run-1", "SUCCEEDED", [a_step("ingest"), a_step("train")], Path("run-1"))

    assert run.step("train") is run.steps[1]
    assert "train" in run
    assert "promote" not in run


def test_a_step_that_did_not_run_is_missed_by_name() -> None:
    run = Run("run-1", "SUCCEEDED", [a_step("ingest")], Path("run-1"))

    with pytest.raises(KeyError, match=r"no step 'promote' ran in run-1; these did: \['ingest'\]"):
        run.step("promote")


def test_a_failure_can_be_made_again_from_its_parts() -> None:
    error = StepFailed("train", Path("logs/train.log"), "exit status 1")

    again = copy.copy(error)

    assert str(again) == str(error) == "step train failed: exit status 1 (its log: logs/train.log)"
