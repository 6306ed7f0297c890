"""Everything that this project changes in KFP's local execution, for as long as a run takes, and nothing else.

KFP has no hook for one interpreter an image; it does look its task handlers up in their modules at each call. It also
logs and prints a lot on standard output, indents `print` for the whole process, and takes a condition it cannot
evaluate for false. Pinned with kfp (see `pyproject.toml`), held by the tests of the runner.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kfp import local as kfp_local
from kfp.local import config, logging_utils, subprocess_task_handler, task_dispatcher
from kfp.local.orchestrator import enhanced_dag_orchestrator
from kfp.local.status import Status

from local.runner.session import Session

_PACKAGE = "kfp.local"
_ORCHESTRATOR = "kfp.local.orchestrator"

Replacement = tuple[Any, str, object]


@contextlib.contextmanager
def installed(session: Session, runner: Any) -> Iterator[list[str]]:
    """Makes KFP's local execution run its tasks through a session; yields what KFP's orchestrator complains about."""
    problems: list[str] = []
    with contextlib.ExitStack() as stack, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"(?s)Task .* have no effect in the current local runner")
        for owner, name, value in (*_execution(session), *_silence(problems)):
            stack.enter_context(_replaced(owner, name, value))
        kfp_local.init(runner, pipeline_root=str(session.artifacts), workspace_root=str(session.workspace))
        yield problems


def _execution(session: Session) -> Iterator[Replacement]:
    handler = _handler_for(session)
    yield subprocess_task_handler, "SubprocessTaskHandler", handler
    if task_dispatcher.docker_task_handler:  # none where the docker package is not installed
        yield task_dispatcher.docker_task_handler, "DockerTaskHandler", handler
    evaluator, resolve = enhanced_dag_orchestrator.ConditionEvaluator, "_resolve_pipeline_channel"
    yield evaluator, resolve, staticmethod(_escaping(_named(vars(evaluator)[resolve])))
    yield config.LocalExecutionConfig, "instance", None


def _silence(problems: list[str]) -> Iterator[Replacement]:
    yield logging_utils, "local_logger_context", contextlib.nullcontext
    yield logging_utils, "indented_print", contextlib.nullcontext
    yield logging_utils, "print_horizontal_line", lambda: None
    for name, module in list(sys.modules.items()):
        if name.startswith(_PACKAGE) and module is not logging_utils and getattr(module, "logging", None) is logging:
            yield module, "logging", _Chatter(problems if name.startswith(_ORCHESTRATOR) else [])


def _handler_for(session: Session) -> type:
    class Handler:
        """One attempt of a task, as KFP's dispatcher makes and runs it."""

        def __init__(
            self, *, image: str, full_command: list[str], env_vars: Mapping[str, str] | None = None, **_: object
        ) -> None:
            self._image = image
            self._command = full_command
            self._environment = env_vars or {}

        def run(self) -> Status:
            return session.carry_out(self._image, self._command, self._environment)

    return Handler


def _escaping(resolve: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """KFP writes a string between single quotes into a Python expression: leave it nothing to misread."""

    def resolved(channel: str, io_store: Any) -> Any:
        value = resolve(channel, io_store)
        if not isinstance(value, str):
            return value
        return "".join(c if c.isascii() and c.isalnum() else f"\\U{ord(c):08x}" for c in value)

    return resolved


def _named(resolve: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """In conditions KFP finds a task's only output (`task-Output`) and no named one (`task-passed`): these too."""

    def resolved(channel: str, io_store: Any) -> Any:
        parts = channel.removeprefix("pipelinechannel--").split("-")
        for cut in range(1, len(parts)):
            with contextlib.suppress(ValueError, KeyError):
                return io_store.get_task_output("-".join(parts[:cut]), "-".join(parts[cut:]))
        return resolve(channel, io_store)

    return resolved


class _Chatter:
    """Stands for `logging` in one of KFP's modules: silent, but what the orchestrator warns of is kept."""

    def __init__(self, problems: list[str]) -> None:
        self._problems = problems

    def __getattr__(self, name: str) -> Any:
        return getattr(logging, name)

    def info(self, *_: object) -> None:
        """Nobody reads it."""

    def warning(self, message: str) -> None:
        self._problems.append(message)

    error = warning


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: object) -> Iterator[None]:
    original = vars(owner)[name]  # not getattr: a static method must be put back as one
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)
