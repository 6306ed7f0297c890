"""A file that may change while the server runs: the last good content counts."""

from __future__ import annotations

import logging
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from churn.domain.errors import UserError

log = logging.getLogger(__name__)

INTERVAL_S = 1.0
T = TypeVar("T")
_Mark = tuple[int, int, int] | None


class Followed(Generic[T]):
    """What `read` makes of the files, read again when one of them changes.

    `value` is replaced as a whole, so other threads meet the old or the new one; `problem` is empty, or says why the
    newest content is not in use."""

    def __init__(self, paths: tuple[Path, ...], read: Callable[[], T]) -> None:
        """Raises UserError, from `read`, when the files are not good at the start."""
        self._paths = paths
        self._read = read
        self._marks = self._look()
        self.value = read()
        self.problem = ""
        self._next = time.monotonic() + INTERVAL_S

    def refresh(self) -> bool | None:
        """Looks at the files, once a second at most. Gives True when there is a new value, False when the new content
        is broken (logged once for each content), None when nothing changed."""
        now = time.monotonic()
        if now < self._next:
            return None
        self._next = now + INTERVAL_S
        marks = self._look()
        if marks == self._marks:
            return None
        self._marks = marks  # before reading: what is written meanwhile is met at the next look
        try:
            self.value = self._read()
        except (UserError, OSError) as error:  # also a file that went away between two looks
            self.problem = str(error)
            log.error("what was read before stays in use: %s", error)  # noqa: TRY400 - the message says it all
            return False
        self.problem = ""
        return True

    def _look(self) -> tuple[_Mark, ...]:
        return tuple(_mark(path) for path in self._paths)


def read_file(path: Path, where: str) -> bytes:
    """The content of a configured file. Raises UserError naming the setting `where`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}", where=where, remedy="give a readable file"
        ) from error


def refuse_open_secret(path: Path, where: str) -> None:
    """Raises UserError when everybody on the machine may read, or write, a file that holds a secret."""
    if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
        remedy = f"chmod 600 {path}; for a mounted Secret: defaultMode 0440, and an fsGroup"
        raise UserError(f"everybody may read or write {path}", where=where, remedy=remedy)


def _mark(path: Path) -> _Mark:
    """Changes with the content; a mounted Secret changes its inode, an edited file its time or size."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
