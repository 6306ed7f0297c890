"""Segments of a spool: files that grow at their end, and are deleted once all in them is in the database."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from churn.stores.prediction_log.frames import HEADER_BYTES, LAYOUTS, RECORDS, SEGMENT_MAGIC, Damage, Frame, frame, scan
from churn.stores.prediction_log.records import Layout, Logged

SUFFIX = ".seg"
_RECORDS = msgspec.msgpack.Decoder(list[Logged])
_LAYOUTS = msgspec.msgpack.Decoder(list[Layout])
_ENCODER = msgspec.msgpack.Encoder()


def opened(path: Path) -> int:
    """A segment's file, to read. Raises OSError, also for what is no file; waits for nobody who would write to it."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "no file", str(path))
    return file


class Segment:
    """One file. `size` is what it holds for sure: behind it a write may be under way, or have failed."""

    def __init__(self, path: Path, size: int, *, is_open: bool = False) -> None:
        self.path, self.size = path, size
        self.rows = self.shipped = 0  # the writer's figure and the reader's: each has one hand that changes it
        self.is_open = is_open
        self.opened = time.monotonic()


class Batch(msgspec.Struct):
    """Records to insert together, and the layouts that were met on the way."""

    records: list[Logged]
    layouts: dict[str, Layout]
    rows: int


class Source:
    """Segments in order, read from the front; `take` then `advance`, or `take` again."""

    def __init__(self, segments: deque[Segment]) -> None:
        self.segments = segments
        self.lost_rows = self.damaged_frames = self.dropped_bytes = 0
        self._layouts: dict[str, Layout] = {}
        self._offset = len(SEGMENT_MAGIC)
        self._next = self._offset
        self._faults = (0, 0)
        self._rows_taken = 0

    @property
    def pending_bytes(self) -> int:
        """What is not yet taken."""
        return max(0, sum(segment.size for segment in list(self.segments)) - self._offset)

    def take(self, rows: int) -> Batch | None:
        """The next records, some `rows` of them; None when there are none now. The same again unless advanced.

        Raises OSError for a segment that cannot be read."""
        while self.segments:
            segment = self.segments[0]
            closed, end = not segment.is_open, segment.size  # in this order: it does not grow once closed
            batch = self._read(segment, end, rows)
            if batch.records:
                return batch
            self.advance()
            if not closed:
                return None
            self._drop(segment)
        return None

    def advance(self) -> None:
        """What was taken is in the database."""
        self._offset = self._next
        self.lost_rows += self._faults[0]
        self.damaged_frames += self._faults[1]
        self._faults = (0, 0)
        if self.segments:
            self.segments[0].shipped += self._rows_taken
        self._rows_taken = 0

    def _drop(self, segment: Segment) -> None:
        with suppress(FileNotFoundError):
            segment.path.unlink()
        self.segments.popleft()
        self.dropped_bytes += segment.size
        self._offset = self._next = len(SEGMENT_MAGIC)

    def _read(self, segment: Segment, end: int, rows: int) -> Batch:
        batch = Batch([], self._layouts, 0)
        self._next, self._faults, self._rows_taken = self._offset, (0, 0), 0
        try:
            file = opened(segment.path)
        except FileNotFoundError:  # somebody deleted it
            self._rows_taken = max(0, segment.rows - segment.shipped)
            self._next = max(end, self._offset)
            self._fault(self._rows_taken, int(self._offset < end))
            return batch
        try:
            if self._offset == len(SEGMENT_MAGIC) <= end and os.pread(file, self._offset, 0) != SEGMENT_MAGIC:
                self._fault(0, 1)
            for found in scan(file, self._offset, end):
                self._add(batch, found)
                self._next = found.end
                if batch.rows >= rows:
                    break
        finally:
            os.close(file)
        return batch

    def _add(self, batch: Batch, found: Frame | Damage) -> None:
        if isinstance(found, Damage):
            self._fault(found.rows, 0 if found.torn else 1)
            return
        self._rows_taken += found.rows
        try:
            if found.kind == RECORDS:
                records = _RECORDS.decode(found.content)
                sound = [record for record in records if record.is_sound()]
                rows = sum(record.rows for record in sound)
                batch.records += sound
                batch.rows += rows
                if len(sound) < len(records):
                    self._fault(found.rows - rows, 0)
            elif found.kind == LAYOUTS:
                for layout in _LAYOUTS.decode(found.content):
                    self._layouts[layout.digest] = layout
        except msgspec.DecodeError:  # whole, but written by another version
            self._fault(found.rows, 1)

    def _fault(self, rows: int, frames: int) -> None:
        self._faults = (self._faults[0] + rows, self._faults[1] + frames)


def layouts_frame(layouts: Mapping[str, Layout]) -> bytes:
    """The frame that says what features are called."""
    return frame(LAYOUTS, 0, _ENCODER.encode(list(layouts.values())))


def records_frame(records: list[Logged]) -> tuple[bytes, int]:
    """The frame of some records, and how many rows they have."""
    rows = sum(record.rows for record in records)
    return frame(RECORDS, rows, _ENCODER.encode(records)), rows


def decoded(content: bytes) -> list[Logged]:
    """The sound records in a frame of `records_frame`."""
    return [record for record in _RECORDS.decode(content[HEADER_BYTES:]) if record.is_sound()]
