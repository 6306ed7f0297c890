"""The log as the predictor sees it: `append` costs microseconds and never raises, the rest happens in two threads."""

from __future__ import annotations

import errno
import time
from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING

from churn.stores.prediction_log.backlog import Backlog, Encoded
from churn.stores.prediction_log.condition import Condition
from churn.stores.prediction_log.records import Layout, Logged, LogOptions, LogStatus
from churn.stores.prediction_log.segments import records_frame
from churn.stores.prediction_log.shipper import Shipper
from churn.stores.prediction_log.spool import Full, Writer

if TYPE_CHECKING:
    from churn.domain.contract import Contract


class PredictionLog:
    """Buffer, spool, database. One for each process, made after it was forked; `append` may come from any thread.

    With `batched`, `append` leaves the record in memory and a thread writes it to the spool within
    `LogOptions.flush_s`; with `durable` it is in the spool's file when `append` returns, unless the spool cannot be
    written: then it is as with `batched` until it can. What is stuck in memory goes to the database all the same,
    and what does not fit into the bounds is counted as lost."""

    def __init__(self, options: LogOptions) -> None:
        self._options = options
        self._layouts: dict[str, Layout] = {}
        self._backlog = Backlog(options.memory_limit_bytes)
        self._writer = Writer(options, self._layouts)
        self._shipper = Shipper(options, self._writer, self._backlog)
        self._is_durable = options.durability == "durable"
        self._condition = Condition("the spool takes no records", "the spool takes records again")
        self._closing = Event()
        self._flusher = Thread(target=self._run, name="prediction-log-flusher", daemon=True)
        self._flusher.start()
        self._shipper.start()

    def describe(self, contract: Contract) -> str:
        """Makes the layout of a contract's matrices known, once for each model; what `Logged.layout` is to be."""
        return self.add_layout(Layout.of(contract))

    def add_layout(self, layout: Layout) -> str:
        """The same for a layout; its digest."""
        self._layouts[layout.digest] = layout
        return layout.digest

    def append(self, record: Logged) -> None:
        """Logs an answered request. Never raises, never waits for the database."""
        if not self._is_durable or self._backlog.rows or not self._write_through(record):
            self._backlog.add(record)

    def close(self, timeout: float = 10.0) -> bool:
        """Brings everything to the database within `timeout` seconds, or leaves it in the spool for whoever is next.

        Whether all is in the database. Records that are appended later are counted as lost."""
        until = time.monotonic() + timeout
        if self._backlog.close():
            self._closing.set()
            self._flusher.join(timeout)
            self._writer.close()
            self._shipper.close(max(0.0, until - time.monotonic()))
            if self._writer.folder:
                self._writer.folder.release()
        return not self._backlog.rows and not self._writer.rows_waiting

    def status(self) -> LogStatus:
        """Figures for metrics; cheap, from any thread."""
        return LogStatus(
            queued_rows=self._backlog.rows,
            queued_bytes=self._backlog.bytes,
            spooled_rows=self._writer.rows_waiting,
            spooled_bytes=self._shipper.pending_bytes,
            written_rows=self._shipper.written_rows,
            lost_rows=self._backlog.lost_rows + self._shipper.lost_rows,
            damaged_frames=self._shipper.damaged_frames,
            lag_s=self._shipper.lag_s,
            spool_error=self._condition.kind,
            database_error=self._shipper.condition.kind,
            left_error=self._shipper.unread.kind,
        )

    def _write_through(self, record: Logged) -> bool:
        """Whether there is nothing more to do for the record: it is on the disk, or lost."""
        try:
            self._writer.write(*records_frame([record]))
        except Full:
            self._backlog.lose(record.rows)
            self._condition.trouble("full")
        except OSError as error:
            self._stick(error)
            return False
        except Exception as error:  # noqa: BLE001 - a record that cannot be encoded spoils no answer
            self._backlog.lose(len(record.probabilities) >> 3)
            self._condition.trouble(type(error).__name__)
        else:
            self._well()
        return True

    def _run(self) -> None:
        period = self._options.flush_s / 2  # so that the write itself fits into what is promised
        while not self._closing.wait(period):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        try:
            self._backlog.encode()
            while frame := self._backlog.take():
                self._write(frame)
            with suppress(OSError):  # it goes on with the segment it has
                self._writer.roll()
        except OSError as error:
            self._stick(error)
        except Exception as error:  # noqa: BLE001 - a thread that dies would lose all that follows
            self._condition.trouble(type(error).__name__)

    def _write(self, frame: Encoded) -> None:
        try:
            self._writer.write(*frame)
        except Full:
            self._backlog.drop(frame)
            self._condition.trouble("full")
        except BaseException:
            self._backlog.put_back(frame)
            self._shipper.wake()
            raise
        else:
            self._backlog.done(frame)
            self._well()

    def _stick(self, error: OSError) -> None:
        self._backlog.is_stuck = True
        self._condition.trouble(errno.errorcode.get(error.errno or 0, type(error).__name__))

    def _well(self) -> None:
        self._shipper.wake()
        self._backlog.is_stuck = False
        if self._condition.kind:
            self._condition.fine()
