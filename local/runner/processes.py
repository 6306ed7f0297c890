"""Steps as processes, each with the interpreter of its image's role."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO

from kfp import local as kfp_local

from components.images import role_of
from local.runner import guard
from local.runner.environments import PROJECT, Environments
from local.runner.launcher import Stopped
from local.runner.task import Task

_GRACE_SECONDS = 1.0


class Processes:
    """Runs each step in an empty working directory and a process group of its own, which ends with the step."""

    def __init__(self, environments: Environments) -> None:
        self._environments = environments
        self._lock = threading.Lock()
        self._groups: set[int] = set()
        self._stopped = False

    def kfp_runner(self) -> Any:
        return kfp_local.SubprocessRunner(use_venv=False)

    def check(self, images: Collection[str]) -> None:
        self._environments.check(role_of(image) for image in images)

    def execute(self, task: Task, log: BinaryIO) -> int:
        # Not under the run's folder: sockets in TMPDIR need a path of less than 108 bytes.
        with tempfile.TemporaryDirectory(prefix="churn-", ignore_cleanup_errors=True) as scratch:
            work = Path(scratch, "work")
            work.mkdir()
            process = self._start(task, log, work)
            try:
                status = process.wait()
            finally:
                _sweep(process)
                self._groups.discard(process.pid)
        if self._stopped:
            raise Stopped(task.name)
        return status

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for group in tuple(self._groups):
                _signal(group, signal.SIGTERM)

    def _start(self, task: Task, log: BinaryIO, work: Path) -> subprocess.Popen[bytes]:
        with self._lock:  # a step is either seen by stop() or never starts
            if self._stopped:
                raise Stopped(task.name)
            process = subprocess.Popen(  # noqa: S603 (KFP's command for a step of our own)
                [sys.executable, "-I", "-S", guard.__file__, *task.command],
                cwd=work,
                env=self._variables(task, work.parent),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._groups.add(process.pid)
            return process

    def _variables(self, task: Task, scratch: Path) -> dict[str, str]:
        """The caller's and the task's, with the role's interpreter first on PATH: KFP's command says `python3`."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        prefix = self._environments.prefix(role_of(task.image))
        return {
            **inherited,
            **task.environment,
            "PATH": os.pathsep.join([str(prefix / "bin"), inherited.get("PATH", os.defpath)]),
            "PYTHONPATH": str(PROJECT),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(scratch),
            "VIRTUAL_ENV": str(prefix),
            "_KFP_RUNTIME": "true",  # spares the step the import of KFP's compiler and client
        }


def _sweep(process: subprocess.Popen[bytes]) -> None:
    """Leaves nothing of a step's process group behind; what is about to end by itself may do so."""
    deadline = time.monotonic() + _GRACE_SECONDS
    while process.poll() is not None and _signal(process.pid, 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    _signal(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()


def _signal(group: int, number: int) -> bool:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS answers the latter for a group of zombies
        os.killpg(group, number)
        return True
    return False
