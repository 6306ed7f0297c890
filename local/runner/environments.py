"""Steps as processes: a role is a virtual environment made from the same lock as its image."""

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

from churn.domain.errors import UserError
from components.images import role_of
from local.runner import guard
from local.runner.launcher import Stopped
from local.runner.task import Task

PROJECT = Path(__file__).resolve().parents[2]
_GRACE_SECONDS = 1.0


class Environments:
    """Runs each step with its role's interpreter, in an empty working directory and a process group of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: set[int] = set()
        self._stopped = False

    def kfp_runner(self) -> Any:
        return kfp_local.SubprocessRunner(use_venv=False)

    def check(self, images: Collection[str]) -> None:
        missing = sorted({role_of(image) for image in images if not interpreter(image).exists()})
        if missing:
            problem = f"no environment for {', '.join(missing)}"
            raise UserError(problem, where=str(_environments()), remedy="make install")

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
                env=_variables(task, work.parent),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._groups.add(process.pid)
            return process


def interpreter(image: str) -> Path:
    """The Python that stands for an image: `<environments>/<role>/bin/python`."""
    return _environments() / role_of(image) / "bin" / "python"


def _environments() -> Path:
    return Path(os.environ.get("CHURN_ENVIRONMENTS") or PROJECT / ".venvs").absolute()


def _variables(task: Task, scratch: Path) -> dict[str, str]:
    """The caller's environment and the task's, the role's interpreter first on PATH: KFP's command says `python3`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    role = interpreter(task.image).parent.parent
    return {
        **inherited,
        **task.environment,
        "PATH": os.pathsep.join([str(role / "bin"), inherited.get("PATH", os.defpath)]),
        "PYTHONPATH": str(PROJECT),
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(scratch),
        "VIRTUAL_ENV": str(role),
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
