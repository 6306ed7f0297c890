"""The state of one run: where its files go, and what became of its steps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from kfp.local import status
from kfp.pipeline_spec import pipeline_spec_pb2 as spec_pb2

from components.reporting import TERMINATION_LOG
from local.runner.launcher import Launcher
from local.runner.records import Status, Step, StepEvent, StepFailed
from local.runner.task import Task, executor_input

Variables = Callable[[str], Mapping[str, str]]
Listener = Callable[[StepEvent], None]


class Session:
    """Carries out the tasks of one pipeline run, in the threads KFP calls from, and remembers how they ended."""

    def __init__(
        self,
        folder: Path,
        spec: spec_pb2.PipelineSpec,
        launcher: Launcher,
        variables: Variables,
        listener: Listener | None,
    ) -> None:
        self.folder = folder
        self.artifacts = folder / "artifacts"
        self.workspace = folder / "workspace"
        self._spec = spec
        self._launcher = launcher
        self._variables = variables
        self._listener = listener
        self._lock = threading.Lock()
        self._steps: dict[str, Step] = {}
        self._failures: dict[str, Exception] = {}

    @property
    def steps(self) -> list[Step]:
        """The last attempt of every step that ran, in the order they ended."""
        return list(self._steps.values())

    @property
    def failure(self) -> Exception | None:
        """The error of the step that failed first, and was not mended by a retry."""
        return next(iter(self._failures.values()), None)

    def carry_out(self, image: str, command: list[str], environment: Mapping[str, str]) -> status.Status:
        """Runs one attempt of a step. Its failure is a status here, so that exit handlers still run."""
        task = self._task(image, command, environment)
        self._notify("started", task, 0.0)
        began = time.perf_counter()
        outputs, failure = self._attempt(task)
        seconds = time.perf_counter() - began
        self._record(task, seconds, outputs, failure)
        self._notify("failed" if failure else "finished", task, seconds)
        return status.Status.FAILURE if failure else status.Status.SUCCESS

    def _task(self, image: str, command: list[str], environment: Mapping[str, str]) -> Task:
        message = executor_input(command)
        # <artifacts>/<pipeline and time>/[<iteration>/...]<step>/executor_output.json
        name = "/".join(Path(message.outputs.output_file).relative_to(self.artifacts).parts[1:-1])
        termination = self.workspace / f"{name}.termination"
        variables = {**environment, **self._variables(name), TERMINATION_LOG: str(termination)}
        return Task(name, image, command, variables, message, self.folder / "logs" / f"{name}.log", termination)

    def _attempt(self, task: Task) -> tuple[Mapping[str, Any], Exception | None]:
        task.prepare()
        with task.log.open("ab") as log:
            exit_status = self._launcher.execute(task, log)
        failure = task.failure(exit_status)
        if failure:
            return {}, failure
        try:
            return task.outputs(self._spec.components[task.component]), None
        except StepFailed as unreadable:
            return {}, unreadable

    def _record(self, task: Task, seconds: float, outputs: Mapping[str, Any], failure: Exception | None) -> None:
        verdict: Status = "FAILED" if failure else "SUCCEEDED"
        with self._lock:
            self._steps.pop(task.name, None)
            self._failures.pop(task.name, None)
            self._steps[task.name] = Step(task.name, task.image, seconds, verdict, task.log, outputs)
            if failure:
                self._failures[task.name] = failure

    def _notify(self, kind: Literal["started", "finished", "failed"], task: Task, seconds: float) -> None:
        if self._listener:
            with self._lock:  # loops call from two threads, a listener is called by one at a time
                self._listener(StepEvent(kind, task.name, task.image, seconds, task.log))
