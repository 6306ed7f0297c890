"""What the two runners have in common."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, BinaryIO, Protocol

from local.runner.task import Task


class Stopped(Exception):  # noqa: N818 (not an error)
    """The run is being ended: an exception, so that KFP neither retries the step nor goes on to the next."""


class Launcher(Protocol):
    """Starts steps, one process or one container each, and waits for them."""

    def kfp_runner(self) -> Any:
        """KFP's own name for this way of running steps, one of `kfp.local`'s runners."""

    def check(self, images: Collection[str]) -> None:
        """Looks for what these images need, before the first step. Raises UserError, which names what is missing."""

    def execute(self, task: Task, log: BinaryIO) -> int:
        """Runs a task, its output in `log`, and returns its exit status. Raises Stopped when `stop` ended it."""

    def stop(self) -> None:
        """Ends what runs, and lets nothing start any more."""
