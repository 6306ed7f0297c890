"""What is in memory: records that are not yet in the spool, within bounds."""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import NamedTuple

from churn.stores.prediction_log.records import Logged
from churn.stores.prediction_log.segments import records_frame

_OVERHEAD = 400  # bytes that a record takes in memory beside its columns, roughly
_FRAME_BYTES = 1 << 20


class Encoded(NamedTuple):
    """A frame of records."""

    content: bytes
    rows: int


class Backlog:
    """Records in the order they came, then frames of them. Thread-safe."""

    def __init__(self, limit_bytes: int) -> None:
        self.rows = self.bytes = self.lost_rows = 0
        self.is_stuck = False  # the spool does not take what is here
        self._limit = limit_bytes
        self._lock = Lock()
        self._records: list[Logged] = []
        self._frames: deque[Encoded] = deque()
        self._is_closed = False

    def add(self, record: Logged) -> None:
        """Keeps a record, or counts it as lost when there is no room or all is over."""
        rows, size = len(record.probabilities) >> 3, _size(record)
        with self._lock:
            if self._is_closed or self.bytes + size > self._limit:
                self.lost_rows += rows
                return
            self._records.append(record)
            self.rows += rows
            self.bytes += size

    def encode(self) -> None:
        """Makes frames of the records; one that cannot be encoded is lost. For one thread alone."""
        with self._lock:
            records, self._records = self._records, []
        while records:
            count, size = _share(records)
            some, records = records[:count], records[count:]
            frames, lost = _encoded(some)
            with self._lock:
                self._frames.extend(frames)
                self.bytes += sum(len(frame.content) for frame in frames) - size
                self.rows -= lost
                self.lost_rows += lost

    def take(self) -> Encoded | None:
        """The next frame; `done`, `lose` or `put_back` is to follow."""
        with self._lock:
            return self._frames.popleft() if self._frames else None

    def put_back(self, frame: Encoded) -> None:
        """It could not be written yet."""
        with self._lock:
            self._frames.appendleft(frame)

    def done(self, frame: Encoded) -> None:
        """It is safe elsewhere."""
        with self._lock:
            self.rows -= frame.rows
            self.bytes -= len(frame.content)

    def drop(self, frame: Encoded) -> None:
        """There is no room for it anywhere."""
        self.done(frame)
        self.lose(frame.rows)

    def lose(self, rows: int) -> None:
        """Counts rows as lost."""
        with self._lock:
            self.lost_rows += rows

    def close(self) -> bool:
        """Takes no more; whether it did until now."""
        with self._lock:
            before, self._is_closed = self._is_closed, True
            return not before


def _size(record: Logged) -> int:
    return _OVERHEAD + len(record.features) + 8 * len(record.probabilities)  # customers among them


def _share(records: list[Logged]) -> tuple[int, int]:
    """How many records make a frame, and what they were counted for."""
    total = 0
    for count, record in enumerate(records, 1):
        total += _size(record)
        if total >= _FRAME_BYTES:
            return count, total
    return len(records), total


def _encoded(records: list[Logged]) -> tuple[list[Encoded], int]:
    """Frames of the records that can be encoded, and how many rows the others have."""
    try:
        return [Encoded(*records_frame(records))], 0
    except Exception:  # noqa: BLE001 - whatever it is, it is the record's fault, and no other's
        if len(records) == 1:
            return [], len(records[0].probabilities) >> 3
    frames: list[Encoded] = []
    lost = 0
    for record in records:
        more, rows = _encoded([record])
        frames, lost = frames + more, lost + rows
    return frames, lost
