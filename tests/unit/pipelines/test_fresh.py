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
