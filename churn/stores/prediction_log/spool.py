"""The spool: a folder for each process, held by a lock that dies with it; who finds one free ships what is in it."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
import uuid
from collections import deque
from contextlib import suppress
from pathlib import Path
from threading import Lock

from churn.stores.prediction_log.frames import SEGMENT_MAGIC
from churn.stores.prediction_log.records import Layout, LogOptions
from churn.stores.prediction_log.segments import SUFFIX, Segment, Source, layouts_frame

_FOLDER = re.compile(r"[0-9a-f]{32}")
_UNBORN = re.compile(r"\.[0-9a-f]{32}")
_SEGMENT = re.compile(r"[0-9]{9}" + re.escape(SUFFIX))
_LOCK = "lock"
_UNBORN_S = 60


class Full(OSError):  # noqa: N818 - a state
    """The spool holds as much as it may, or is closed."""


class Folder:
    """A process's folder, and the lock on it; what is in it is read through `source`."""

    def __init__(self, path: Path, lock: int, segments: deque[Segment]) -> None:
        self.path = path
        self.source = Source(segments)
        self.retry_at = 0.0  # of one that could not be read: before then, nobody tries again
        self._lock = lock

    @classmethod
    def make(cls, spool: Path) -> Folder:
        """A new one, which has its name only once it is locked. Raises OSError."""
        name = uuid.uuid4().hex
        unborn = spool / f".{name}"
        lock = -1
        try:
            unborn.mkdir(mode=0o700, parents=True)
            lock = os.open(unborn / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            unborn.rename(spool / name)
        except OSError:
            shutil.rmtree(unborn, ignore_errors=True)
            if lock >= 0:
                os.close(lock)
            raise
        return cls(spool / name, lock, deque())

    @classmethod
    def adopt(cls, path: Path) -> Folder | None:
        """One whose process is gone; None when somebody holds it."""
        try:
            lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        except OSError:  # gone, or not ours to open
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_nlink:  # nobody shipped and removed it meanwhile
                return cls(path, lock, _segments(path))
        except OSError:
            pass
        os.close(lock)
        return None

    def release(self) -> None:
        """Lets go of the folder, which is removed when no segment is left in it."""
        if not self.source.segments:
            with suppress(OSError):
                (self.path / _LOCK).unlink()
                self.path.rmdir()  # a file of somebody else's keeps it there
        os.close(self._lock)


class Writer:
    """Writes frames to segments of a folder of its own. Thread-safe; the folder is made at the first write."""

    def __init__(self, options: LogOptions, layouts: dict[str, Layout]) -> None:
        self.folder: Folder | None = None
        self.foreign_bytes = 0  # what other processes keep in the same spool, as last seen
        self._options = options
        self.layouts = layouts
        self._declared = 0
        self._segment_bytes = min(options.segment_bytes, max(4096, options.spool_limit_bytes // 8))
        self._lock = Lock()
        self._file = -1
        self._number = 0
        self._written = 0
        self._is_closed = False

    def write(self, content: bytes, rows: int) -> None:
        """Appends a frame of so many rows. Raises OSError when it is not on the disk, Full when it may not be."""
        with self._lock:
            if self._is_closed:
                raise Full
            if self._file < 0:
                self._open()
            if len(self.layouts) > self._declared:
                declared = len(self.layouts)
                content = layouts_frame(dict(self.layouts)) + content
            else:
                declared = self._declared
            segment = self._segments[-1]
            if self.bytes_on_disk + len(content) > self._options.spool_limit_bytes:
                raise Full
            self._append(segment, content)
            self._declared = declared
            segment.rows += rows

    def roll(self) -> None:
        """Starts another segment when this one is large or old enough. Raises OSError, and goes on with this one."""
        with self._lock:
            if self._file < 0 or not self._segments[-1].rows:
                return
            last = self._segments[-1]
            if last.size >= self._segment_bytes or time.monotonic() - last.opened >= self._options.segment_s:
                self._open()

    def close(self) -> None:
        """Writes no more; what is there remains to be read."""
        with self._lock:
            self._is_closed = True
            if self._file >= 0:
                os.close(self._file)
                self._segments[-1].is_open = False
                self._file = -1

    @property
    def bytes_on_disk(self) -> int:
        """What lies in the whole spool, as far as is known."""
        return self.foreign_bytes + self._written - (self.folder.source.dropped_bytes if self.folder else 0)

    @property
    def rows_waiting(self) -> int:
        """Rows of this process that are in the spool alone."""
        return sum(max(0, segment.rows - segment.shipped) for segment in list(self._segments))

    @property
    def _segments(self) -> deque[Segment]:
        return self.folder.source.segments if self.folder else deque()

    def _open(self) -> None:
        if self.folder is None:
            self.folder = Folder.make(self._options.spool)
        path = self.folder.path / f"{self._number:09d}{SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            file = os.open(path, flags, 0o600)
        except FileNotFoundError:  # somebody deleted the folder
            self.folder.path.mkdir(mode=0o700, parents=True)
            file = os.open(path, flags, 0o600)
        segment = Segment(path, 0, is_open=True)
        try:
            self._number += 1
            _write(file, SEGMENT_MAGIC)
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        segment.size = len(SEGMENT_MAGIC)
        self._written += segment.size
        before, self._file = self._file, file
        if before >= 0:
            os.close(before)
            self._segments[-1].is_open = False
        self._declared = 0
        self._segments.append(segment)

    def _append(self, segment: Segment, content: bytes) -> None:
        try:
            _write(self._file, content)
        except OSError:
            try:
                os.ftruncate(self._file, segment.size)
            except OSError:  # what was written in part stays behind the segment's size; nothing may follow it
                os.close(self._file)
                self._file = -1
                segment.is_open = False
            raise
        segment.size += len(content)
        self._written += len(content)


def try_out(spool: Path) -> None:
    """Makes the spool if there is none, and writes to it. Raises OSError when that cannot be."""
    folder = spool / f".{uuid.uuid4().hex}"  # swept with what was never born, should this process die in between
    try:
        folder.mkdir(mode=0o700, parents=True)
        (folder / _LOCK).write_bytes(SEGMENT_MAGIC)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def adopt(spool: Path, held: set[Path]) -> tuple[list[Folder], int]:
    """The folders under `spool` whose processes are gone, oldest first, and the bytes in those of living ones.

    Folders that are `held` are left out of both."""
    adopted, elsewhere = [], 0
    for path in _folders(spool):
        if path in held:
            continue
        folder = Folder.adopt(path)
        if folder and not folder.source.segments:
            folder.release()
        elif folder:
            adopted.append(folder)
        else:
            elsewhere += sum(segment.size for segment in _segments(path))
    return adopted, elsewhere


def _folders(spool: Path) -> list[Path]:
    found = []
    with suppress(OSError):
        for entry in os.scandir(spool):
            with suppress(OSError):
                if _FOLDER.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                    found.append((_born(spool / entry.name), spool / entry.name))
                elif _UNBORN.fullmatch(entry.name) and time.time() - entry.stat().st_mtime > _UNBORN_S:
                    shutil.rmtree(spool / entry.name)  # its process died between two lines
    return [path for _, path in sorted(found)]


def _born(folder: Path) -> float:
    with suppress(OSError):
        return (folder / _LOCK).stat().st_mtime
    return 0.0


def _segments(folder: Path) -> deque[Segment]:
    """Files alone: what else has a segment's name is somebody else's."""
    found: deque[Segment] = deque()
    with suppress(OSError):
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            with suppress(FileNotFoundError):
                if _SEGMENT.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    found.append(Segment(Path(entry.path), entry.stat(follow_symlinks=False).st_size))
    return found


def _write(file: int, content: bytes) -> None:
    """All of it. Raises OSError."""
    written = os.write(file, content)
    while written < len(content):
        written += os.write(file, content[written:])
