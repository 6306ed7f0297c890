"""Steps as processes, each with the interpreter of its image's role."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO

from kfp import local as kfp_local

from components.images import role_of
from local.runner import guard
from local.runner.environments import PROJECT, Environments
from local.runner.launcher import Stopped
from local.runner.task import Task


class Processes:
    """Runs each step under a guard, in an empty working directory and a process group that ends with the step."""

    def __init__(self, environments: Environments) -> None:
        self._environments = environments
        self._lock = threading.Lock()
        self._live: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def kfp_runner(self) -> Any:
        return kfp_local.SubprocessRunner(use_venv=False)

    def check(self, images: Collection[str]) -> None:
        self._environments.check(role_of(image) for image in images)

    def execute(self, task: Task, log: BinaryIO) -> int:
        process = self._start(task, log)
        try:
            status = process.wait()
        finally:
            _end(process)
            process.wait()
            self._live.discard(process)
        if self._stopped:
            raise Stopped(task.name)
        return status

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for process in tuple(self._live):
                _end(process)

    def _start(self, task: Task, log: BinaryIO) -> subprocess.Popen[bytes]:
        with self._lock:  # a step is either seen by stop() or never starts
            if self._stopped:
                raise Stopped(task.name)
            # Not under the run's folder: sockets in TMPDIR need a path of less than 108 bytes.
            scratch = Path(tempfile.mkdtemp(prefix="churn-"))
            (scratch / "work").mkdir()
            process = subprocess.Popen(  # noqa: S603 (KFP's command for a step of our own)
                [sys.executable, "-I", "-S", guard.__file__, scratch, *task.command],
                cwd=scratch / "work",
                env=self._variables(task, scratch),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._live.add(process)
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


def _end(process: subprocess.Popen[bytes]) -> None:
    """Tells the guard, which ends the step and then itself."""
    if process.stdin:
        process.stdin.close()
