"""Files that appear whole or not at all, and locks that die with their process."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STALE_S = 24 * 3600
"""Age after which a staged file is taken for one that a killed process left behind."""


def sync(path: Path) -> None:
    """Flushes a file, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A fresh path in `folder` to write a file or a folder at; what is still there at the end is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    path = folder / uuid.uuid4().hex
    try:
        yield path
    finally:
        remove(path)


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces the content of `path`; a reader meets the old or the new one, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with staged(path.parent / ".staging") as temporary:
        temporary.write_bytes(content)
        publish(temporary, path)


def publish(temporary: Path, path: Path) -> None:
    """Moves a staged file or folder, flushed first, to its name. Raises OSError when a folder of that name exists."""
    for part in sorted(temporary.rglob("*")) if temporary.is_dir() else ():
        sync(part)
    sync(temporary)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.replace(path)
    sync(path.parent)


def remove(path: Path) -> None:
    """Removes a file or a folder; what is not there is no error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock between processes, waiting for it; the kernel lets go of it when its holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def try_locked(path: Path) -> Iterator[bool]:
    """The same without waiting: whether it is held now, for the block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def is_locked(path: Path) -> bool:
    """Whether a living process (this one included) holds the lock at `path`."""
    try:
        with path.open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _sweep(folder: Path) -> None:
    for entry in folder.iterdir():
        with suppress(FileNotFoundError):
            if time.time() - entry.stat().st_mtime > STALE_S:
                remove(entry)
