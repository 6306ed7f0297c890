"""From the spool to the database: in order, again and again until it is there."""

from __future__ import annotations

import errno
import logging
import random
import time
from threading import Event, Thread

from churn.stores.prediction_log.backlog import Backlog
from churn.stores.prediction_log.condition import Condition
from churn.stores.prediction_log.records import LogOptions
from churn.stores.prediction_log.segments import Batch, Source, decoded
from churn.stores.prediction_log.sinks import Away, Refused, sink
from churn.stores.prediction_log.spool import Folder, Writer, adopt

_LOGGER = logging.getLogger(__name__)
_LONGEST_PAUSE_S = 5.0


class Shipper:
    """A thread that empties this process's folder, and those of processes that are gone."""

    def __init__(self, options: LogOptions, writer: Writer, backlog: Backlog) -> None:
        self.written_rows = self.refused_rows = 0
        self.condition = Condition("the database takes no rows", "the database takes rows again")
        self.unread = Condition("what a process left in the spool cannot be read and waits", "all of it can be read")
        self._options = options
        self._writer = writer
        self._backlog = backlog
        self._adopted: list[Folder] = []
        self._forsaken = (0, 0)  # lost rows and damaged frames of folders that are done with
        self._adopt_at = 0.0
        self._oldest_at = 0.0
        self._sink = sink(options.database)
        self._wake, self._closing = Event(), Event()
        self._deadline = float("inf")
        self._thread = Thread(target=self._run, name="prediction-log-shipper", daemon=True)

    def start(self) -> None:
        """Begins; whatever the processes before this one left is first."""
        self._thread.start()

    def wake(self) -> None:
        """There is something to ship."""
        if not self._wake.is_set():
            self._wake.set()

    def close(self, timeout: float) -> None:
        """Ships what this process has, for at most `timeout` seconds."""
        self._deadline = time.monotonic() + timeout
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout + 0.1)
        for folder in self._adopted:
            folder.release()

    @property
    def lost_rows(self) -> int:
        """Rows that were damaged on the disk, or that the database will never take."""
        return self.refused_rows + self._forsaken[0] + sum(source.lost_rows for source in self._sources())

    @property
    def damaged_frames(self) -> int:
        """Stretches of segments that were not as they had been written."""
        return self._forsaken[1] + sum(source.damaged_frames for source in self._sources())

    @property
    def pending_bytes(self) -> int:
        """What is in the spool and not in the database, adopted folders included."""
        return sum(source.pending_bytes for source in self._sources())

    @property
    def lag_s(self) -> float:
        """The age of the oldest record that is being delivered; 0 when none is."""
        return max(0.0, time.time() - self._oldest_at) if self._oldest_at else 0.0

    def _own(self) -> list[Source]:
        return [self._writer.folder.source] if self._writer.folder else []

    def _sources(self) -> list[Source]:
        return [*(folder.source for folder in list(self._adopted)), *self._own()]

    def _run(self) -> None:
        failures = 0
        while not self._is_over():
            moved = more = False
            try:
                moved, more = self._ship()
                failures = 0
                self.condition.fine()
            except Exception as error:  # noqa: BLE001 - a thread that dies would fill the disk in silence
                failures += 1
                kind = str(error) if isinstance(error, Away) else type(error).__name__
                self.condition.trouble(kind, _hint(kind))
            if failures:
                self._pause(min(_LONGEST_PAUSE_S, 0.1 * 2 ** min(failures, 10)) * random.uniform(0.5, 1))  # noqa: S311
            elif self._closing.is_set() and not moved:
                break
            elif not more:
                self._rest()
        self._sink.close()

    def _is_over(self) -> bool:
        return self._closing.is_set() and time.monotonic() > self._deadline

    def _pause(self, seconds: float) -> None:
        if self._closing.is_set():
            time.sleep(min(seconds, 0.2, max(0.0, self._deadline - time.monotonic())))
        else:
            self._closing.wait(seconds)

    def _rest(self) -> None:
        """Until there is something to ship; then a moment longer, so that more goes together."""
        if self._wake.wait(self._options.adopt_s):
            self._wake.clear()
            self._closing.wait(self._options.ship_s)

    def _ship(self) -> tuple[bool, bool]:
        """Whether a batch was shipped, and whether more is known to be there. Raises Away, OSError.

        What was left by others is older, and goes first; at the end, only what is this process's own."""
        self._adopt()
        self._sink.connect()
        if not self._closing.is_set():
            for folder in self._adopted:
                self._empty(folder)
            if not any(folder.retry_at for folder in self._adopted):
                self.unread.fine()
        rows = sum(self._ship_from(source) for source in self._own()) or self._ship_stuck()
        more = rows >= self._options.batch_rows or any(len(source.segments) > 1 for source in self._own())
        return rows > 0, more

    def _empty(self, folder: Folder) -> None:
        """Ships what a process left. A folder that cannot be read is set aside for a while, and keeps no other back."""
        if time.monotonic() < folder.retry_at:
            return
        while not self._closing.is_set():
            try:
                batch = folder.source.take(self._options.batch_rows)
            except OSError as error:
                folder.retry_at = time.monotonic() + self._options.adopt_s
                kind = errno.errorcode.get(error.errno or 0, type(error).__name__)
                self.unread.trouble(kind, f": {folder.path.name}")
                return
            folder.retry_at = 0.0
            if batch is None:
                return
            self._deliver(batch)
            folder.source.advance()

    def _ship_from(self, source: Source) -> int:
        batch = source.take(self._options.batch_rows)
        if batch is None:
            return 0
        self._deliver(batch)
        source.advance()
        return batch.rows

    def _ship_stuck(self) -> int:
        """Rows that went from memory to the database because the spool does not take them."""
        rows = 0
        while self._backlog.is_stuck and (frame := self._backlog.take()):
            try:
                self._deliver(Batch(decoded(frame.content), self._writer.layouts, frame.rows))
            except BaseException:
                self._backlog.put_back(frame)
                raise
            self._backlog.done(frame)
            rows += frame.rows
        return rows

    def _deliver(self, batch: Batch) -> None:
        """Inserts what the database does not refuse. Raises Away, and then all of it is to be tried again."""
        if not batch.records:
            return
        self._oldest_at = batch.records[0].at
        refused = self._insert(batch)
        self.refused_rows += refused
        self.written_rows += batch.rows - refused
        self._oldest_at = 0.0

    def _insert(self, batch: Batch) -> int:
        """Inserts a batch; one that is refused in halves, until what is refused stands alone: its rows."""
        try:
            self._sink.insert(batch)
        except Refused as error:
            if len(batch.records) == 1:
                _LOGGER.error("prediction log: the database refuses %d rows (%s)", batch.rows, error)  # noqa: TRY400
                return batch.rows
        else:
            return 0
        middle = len(batch.records) // 2
        halves = (batch.records[:middle], batch.records[middle:])
        return sum(self._insert(Batch(half, batch.layouts, sum(one.rows for one in half))) for half in halves)

    def _adopt(self) -> None:
        for folder in [folder for folder in self._adopted if not folder.source.segments]:
            self._adopted.remove(folder)
            lost, damaged = self._forsaken
            self._forsaken = (lost + folder.source.lost_rows, damaged + folder.source.damaged_frames)
            folder.release()
        if self._closing.is_set() or time.monotonic() < self._adopt_at:
            return
        self._adopt_at = time.monotonic() + self._options.adopt_s
        held = {folder.path for folder in self._adopted}
        if self._writer.folder:
            held.add(self._writer.folder.path)
        adopted, elsewhere = adopt(self._options.spool, held)
        if adopted:
            _LOGGER.info("prediction log: adopts %d spool folders of processes that are gone", len(adopted))
        self._adopted += adopted
        self._writer.foreign_bytes = elsewhere + sum(folder.source.pending_bytes for folder in self._adopted)


def _hint(kind: str) -> str:
    return ": run churn data migrate" if kind.startswith("Undefined") else ""
