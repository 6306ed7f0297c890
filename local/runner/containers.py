"""Steps as containers: KFP's DockerRunner, with the containers kept until their exit status is known.

KFP starts them with `auto_remove` and takes a container that is gone for a success.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Collection, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from kfp import local as kfp_local
from kfp.dsl import constants as kfp_constants

from churn.domain.errors import UserError
from local.runner.launcher import Stopped
from local.runner.task import Task

_FORWARDED = ("AWS_", "CHURN_", "FEAST_", "MLFLOW_")
_REMEDY = "or leave out --runner docker"


class Containers:
    """Runs each step in its image, as the calling user, on the host's network, folders mounted at the same paths."""

    def __init__(self, folder: Path, arguments: Mapping[str, Any]) -> None:
        self._folder = folder
        self._inputs = [str(value) for value in arguments.values() if _is_local_input(value)]
        self._lock = threading.Lock()
        self._live: list[Any] = []
        self._stopped = False

    def kfp_runner(self) -> Any:
        return kfp_local.DockerRunner()

    def check(self, images: Collection[str]) -> None:
        with contextlib.closing(_engine()) as engine:
            present = {tag for image in engine.images.list() for tag in (*image.tags, *image.attrs["RepoDigests"])}
        missing = sorted(set(images) - present)
        if missing:
            raise UserError(f"no image {', '.join(missing)}", where="Docker", remedy=f"build it, {_REMEDY}")

    def execute(self, task: Task, log: BinaryIO) -> int:
        with contextlib.closing(_engine()) as engine:
            container = self._start(engine, task)
            try:
                log.writelines(container.logs(stream=True, follow=True))
                status = int(container.wait()["StatusCode"])
            finally:
                with self._lock:
                    self._live.remove(container)
                container.remove(force=True)
        if self._stopped:
            raise Stopped(task.name)
        return status

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for container in self._live:
                with contextlib.suppress(Exception):  # it has just ended by itself
                    container.kill()

    def _start(self, engine: Any, task: Task) -> Any:
        with self._lock:
            if self._stopped:
                raise Stopped(task.name)
            container = engine.containers.run(
                task.image,
                task.command,
                detach=True,
                environment=self._variables(task),
                init=True,
                labels={"churn.run": self._folder.name, "churn.step": task.name},
                network_mode="host",
                user=f"{os.getuid()}:{os.getgid()}",
                volumes=self._volumes(task),
            )
            self._live.append(container)
            return container

    def _variables(self, task: Task) -> dict[str, str]:
        forwarded = {name: value for name, value in os.environ.items() if name.startswith(_FORWARDED)}
        return {**forwarded, "HOME": str(self._folder / "workspace"), **task.environment}

    def _volumes(self, task: Task) -> list[str]:
        home = Path(task.environment["CHURN_HOME"])
        home.mkdir(parents=True, exist_ok=True)  # Docker would make it, for root
        return [
            *(f"{path}:{path}:ro" for path in self._inputs),
            *(f"{path}:{path}" for path in {self._folder, home}),
            f"{self._folder / 'workspace'}:{kfp_constants.WORKSPACE_MOUNT_PATH}",
        ]


def _engine() -> Any:
    try:
        docker = import_module("docker")  # not an import statement: type checkers would find this project's docker/
    except ImportError as error:
        remedy = f"pip install docker, {_REMEDY}"
        raise UserError("the Python package docker is missing", where="Docker", remedy=remedy) from error
    try:
        return docker.from_env()
    except docker.errors.DockerException as error:
        raise UserError("no engine answers", where="Docker", remedy=f"start one, {_REMEDY}") from error


def _is_local_input(value: object) -> bool:
    with contextlib.suppress(OSError, ValueError):  # too long for a path, or a null byte in it
        return isinstance(value, str) and Path(value).is_absolute() and Path(value).exists()
    return False
