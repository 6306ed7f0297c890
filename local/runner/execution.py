"""Runs a pipeline with KFP's own local execution."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.dsl.graph_component import GraphComponent

from churn.domain.errors import UserError
from local.runner import hooks
from local.runner.containers import Containers
from local.runner.environments import Environments
from local.runner.launcher import Launcher
from local.runner.processes import Processes
from local.runner.records import Run, RunnerName, Status, StepFailed
from local.runner.session import Listener, Session

_HOME, _DEFAULT_HOME = "CHURN_HOME", ".churn"
_ONE_AT_A_TIME = threading.Lock()  # KFP's local execution is configured for the whole process


def run(  # noqa: PLR0913 (two say what, five say how, by name)
    pipeline: GraphComponent,
    arguments: Mapping[str, Any],
    *,
    name: str,
    root: Path,
    on_step: Listener | None = None,
    runner: RunnerName = "venv",
    environment: Mapping[str, str] | Callable[[str], Mapping[str, str]] | None = None,
) -> Run:
    """Runs a pipeline, decorated with `dsl.pipeline`, to its end.

    The run's files go to `root/<run_id>`: `artifacts`, and `logs` with one file a step; `run_id` begins with `name`.
    Paths in `arguments` must be absolute, for a step starts in an empty folder of its own. `on_step` is told when a
    step starts, finishes or fails, one call at a time, from another thread. `environment` holds variables for the steps
    beside the caller's, or gives them by the step's name.

    Raises UserError when a step under `reported()` did, when what steps need is not installed, or when `root` cannot be
    written; StepFailed when a step failed in any other way; RuntimeError when KFP cannot follow the pipeline, at a
    condition it cannot evaluate for one; ValueError for a step that cannot run here as it would in its image.
    """
    run_id = f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    folder = root.absolute() / run_id
    launcher: Launcher = Processes(Environments()) if runner == "venv" else Containers(folder, arguments)
    spec = pipeline.pipeline_spec
    launcher.check(_images(spec))
    session = Session(folder, spec, launcher, partial(_variables, environment), on_step)
    _make(folder, session.workspace)
    outputs = _execute(partial(pipeline, **arguments), session, launcher)
    verdict: Status = "FAILED" if session.failure else "SUCCEEDED"
    result = Run(run_id, verdict, session.steps, folder, outputs)
    if isinstance(session.failure, StepFailed):
        session.failure.run = result
    if session.failure:
        raise session.failure
    return result


def _execute(work: Callable[[], Any], session: Session, launcher: Launcher) -> dict[str, Any]:
    """The pipeline's outputs; none when a step failed, which the session knows better than KFP's error tells."""
    with _ONE_AT_A_TIME, hooks.installed(session, launcher.kfp_runner()) as problems:
        try:
            outputs = dict(_interruptible(work, launcher.stop).outputs)
        except Exception:
            if session.failure:
                return {}
            if problems:
                raise RuntimeError("; ".join(problems)) from None
            raise
    if problems:
        raise RuntimeError("; ".join(problems))
    return outputs


def _interruptible(work: Callable[[], Any], stop: Callable[[], None]) -> Any:
    """Works in a thread, so that Ctrl-C, or any signal handler that raises, can end the steps being waited for."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="pipeline") as executor:
        future = executor.submit(work)
        try:
            return future.result()
        except BaseException:
            stop()
            raise


def _images(spec: Any) -> set[str]:
    executors = json_format.MessageToDict(spec.deployment_spec)["executors"]
    return {_image(label, executor["container"]) for label, executor in executors.items() if "container" in executor}


def _image(label: str, container: Mapping[str, Any]) -> str:
    if "--executor_input" not in container.get("args", ()):
        raise ValueError(f"{label} is not a Python component")
    *commands, _source = container["command"]
    if any("pip install" in command for command in commands):
        raise ValueError(f"{label} installs packages when it runs; give them to its image (install_kfp_package=False)")
    return str(container["image"])


def _variables(given: Mapping[str, str] | Callable[[str], Mapping[str, str]] | None, step: str) -> dict[str, str]:
    variables = dict(given(step) if callable(given) else given or {})
    home = variables.get(_HOME) or os.environ.get(_HOME) or _DEFAULT_HOME
    return {**variables, _HOME: str(Path(home).absolute())}


def _make(*folders: Path) -> None:
    for folder in folders:
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise UserError(
                f"cannot be written: {error.strerror}", where=str(folder), remedy=f"point {_HOME} at a writable folder"
            ) from error
