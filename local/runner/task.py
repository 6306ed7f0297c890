"""One attempt of a step, read from the command that KFP made for it."""

from __future__ import annotations

import json
import re
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.local import executor_output_utils
from kfp.pipeline_spec import pipeline_spec_pb2 as spec_pb2

from churn.domain.errors import UserError
from components.reporting import EXIT_USER_ERROR
from local.runner.records import StepFailed

_SIGNAL_BASE = 128  # a shell's exit status for a process ended by a signal is this plus the signal's number

_COMPONENT_PREFIX = "comp-"
_EXCEPTION_LINE = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit|Warning|Failed)\b.*")
_LOG_TAIL_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Task:
    """What to run and where its traces go: artifacts in `folder`, the message of a `UserError` in `termination`."""

    name: str
    image: str
    command: list[str]
    environment: dict[str, str]
    executor_input: spec_pb2.ExecutorInput
    log: Path
    termination: Path

    @property
    def folder(self) -> Path:
        return self._output_file.parent

    @property
    def component(self) -> str:
        """The key of the step's component in the pipeline's specification."""
        return _COMPONENT_PREFIX + self.folder.name

    def prepare(self) -> None:
        """Makes the place for an attempt; what an earlier attempt left behind is not mistaken for its output."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.termination.unlink(missing_ok=True)
        for file in (self.log, self.termination):
            file.parent.mkdir(parents=True, exist_ok=True)

    def failure(self, status: int) -> Exception | None:
        """The error an exit status stands for, or none. A step without an output file failed, whatever its status."""
        if status == EXIT_USER_ERROR and self.termination.exists():
            return UserError(self.termination.read_text(encoding="utf-8", errors="replace"))
        if status == 0 and self._output_file.exists():
            return None
        reason = _reason(status, self.log) if status else "it ended without writing its outputs"
        return StepFailed(self.name, self.log, reason)

    def outputs(self, component: spec_pb2.ComponentSpec) -> dict[str, Any]:
        """Parameters and artifacts exactly as KFP hands them to the steps downstream.

        Raises StepFailed for what KFP cannot read; on a cluster, and so here, that includes NaN and infinity.
        """
        try:
            json.loads(self._output_file.read_bytes(), parse_constant=_refuse)
            values: dict[str, Any] = executor_output_utils.get_outputs_for_task(
                executor_input=self.executor_input, component_spec=component
            )
        except (json_format.ParseError, ValueError, TypeError) as error:
            raise StepFailed(self.name, self.log, f"KFP cannot read its outputs: {error}") from error
        return values

    @property
    def _output_file(self) -> Path:
        return Path(self.executor_input.outputs.output_file)


def executor_input(command: list[str]) -> spec_pb2.ExecutorInput:
    """The message in which KFP tells its executor about inputs and outputs, from the executor's command line."""
    text = command[command.index("--executor_input") + 1]
    return json_format.Parse(text, spec_pb2.ExecutorInput())


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _reason(status: int, log: Path) -> str:
    number = -status if status < 0 else status - _SIGNAL_BASE
    if number in set(signal.Signals):
        return f"ended by {signal.Signals(number).name}"
    lines = log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").splitlines()
    last = next((line for line in reversed(lines) if line.strip()), "")
    return last if _EXCEPTION_LINE.fullmatch(last) else f"exit status {status}"
