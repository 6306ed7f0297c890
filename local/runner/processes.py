"""Steps as processes, each with the interpreter of its image's role: forked from a warm one, or a fresh one."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from kfp import local as kfp_local

from components.images import role_of
from local.runner import guard
from local.runner.environments import PROJECT, Environments
from local.runner.launcher import Stopped
from local.runner.task import Task
from local.runner.warm import INTERPRETERS, Forked, Where, program_of

_FORKS = sys.platform == "linux"  # elsewhere libraries of the system do not survive a fork


class _Process(Protocol):
    """A step under its guard."""

    def wait(self) -> int | None:
        """The exit status, as a shell counts; none when the step could not begin."""

    def end(self) -> None:
        """Ends the step."""


class Processes:
    """Runs each step under a guard, in an empty working directory and a process group that ends with the step."""

    def __init__(self, environments: Environments) -> None:
        self._environments = environments
        self._lock = threading.Lock()
        self._live: set[_Process] = set()
        self._stopped = False
        self._ahead: Collection[str] = ()

    def kfp_runner(self) -> Any:
        return kfp_local.SubprocessRunner(use_venv=False)

    def check(self, images: Collection[str]) -> None:
        self._environments.check(role_of(image) for image in images)
        self._ahead = images if _FORKS else ()

    def execute(self, task: Task, log: BinaryIO) -> int:
        where = self._where(task.image, task.environment)
        for start in (_forked, _Fresh):
            with _scratch() as scratch:
                status = self._attend(task, partial(start, task, where, scratch, log))
            if status == 0:
                self._look_ahead()
            if status is not None:
                return status
        raise RuntimeError(f"{task.name} could not be started")

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for process in tuple(self._live):
                process.end()
        INTERPRETERS.close()

    def _look_ahead(self) -> None:
        """All that steps to come need is loaded beside them once one has ended well; most of what is wrong with a run's
        input its first step meets, and then nothing was loaded in vain."""
        ahead, self._ahead = self._ahead, ()
        for image in ahead:
            INTERPRETERS.warm(self._where(image, {}))

    def _attend(self, task: Task, start: Callable[[], _Process | None]) -> int | None:
        with self._lock:  # a step is either seen by stop() or never starts
            if self._stopped:
                raise Stopped(task.name)
            process = start()
            if process:
                self._live.add(process)
        if not process:
            return None
        try:
            status = process.wait()
        finally:
            process.end()
            self._live.discard(process)
        if self._stopped:
            raise Stopped(task.name)
        return status

    def _where(self, image: str, environment: Mapping[str, str]) -> Where:
        """The caller's variables and the step's, with the role's interpreter first on PATH: KFP's command says
        `python3`."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        role = role_of(image)
        prefix = self._environments.prefix(role)
        variables = {
            **inherited,
            **environment,
            "PATH": os.pathsep.join([str(prefix / "bin"), inherited.get("PATH", os.defpath)]),
            "PYTHONPATH": str(PROJECT),
            "PYTHONUNBUFFERED": "1",
            "VIRTUAL_ENV": str(prefix),
            "_KFP_RUNTIME": "true",  # spares the step the import of KFP's compiler and client
        }
        return Where(role, self._environments.python(role), variables)


class _Fresh:
    """A step in an interpreter of its own."""

    def __init__(self, task: Task, where: Where, scratch: Path, log: BinaryIO) -> None:
        variables = {**where.variables, "TMPDIR": str(scratch)}
        self._process = guard.start(task.command, scratch, cwd=scratch / "work", env=variables, output=log)

    def wait(self) -> int:
        return self._process.wait()

    def end(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()


def _forked(task: Task, where: Where, scratch: Path, log: BinaryIO) -> Forked | None:
    """A step in a child of a warm interpreter; none where there is no way to it."""
    program = program_of(task.command)
    if not program or not _FORKS:
        return None
    variables = {**where.variables, "TMPDIR": str(scratch)}
    request = {**program, "environment": variables, "folder": str(scratch / "work"), "scratch": str(scratch)}
    return INTERPRETERS.fork(where, request, log)


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """Not under the run's folder: sockets in TMPDIR need a path of less than 108 bytes."""
    scratch = Path(tempfile.mkdtemp(prefix="churn-"))
    try:
        (scratch / "work").mkdir()
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
