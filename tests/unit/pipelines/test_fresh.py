"""No step of any pipeline is answered from what KFP remembers of an earlier run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import json_format

from local.packages import pipelines


def tasks(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for dag in [spec["root"]["dag"], *(one["dag"] for one in spec["components"].values() if "dag" in one)]:
        yield from dag["tasks"].items()


@pytest.mark.parametrize("name", ["training", "batch", "monitoring", "retraining"])
def test_every_step_is_run_each_time(name: str) -> None:
    spec = json_format.MessageToDict(pipelines()[name].pipeline_spec)
    steps = {task for task, body in tasks(spec) if "executorLabel" in spec["components"][body["componentRef"]["name"]]}
    remembered = {task for task, body in tasks(spec) if body.get("cachingOptions", {}).get("enableCache")}
    assert len(steps) >= 3
    assert not steps & remembered


def test_what_came_of_a_retraining_is_written_down_more_than_once_if_need_be() -> None:
    spec = json_format.MessageToDict(pipelines()["retraining"].pipeline_spec)
    tries = {task: body.get("retryPolicy", {}).get("maxRetryCount") for task, body in tasks(spec) if "conclude" in task}
    assert tries == {"conclude": 2, "conclude-2": 2}
