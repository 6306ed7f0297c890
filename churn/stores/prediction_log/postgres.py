"""The prediction log in PostgreSQL: by binary COPY, straight into the log where nothing speaks against it.

Otherwise into a temporary table, and from there what is not there yet and of nobody who was erased since: that takes
nearly twice as long."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedIOBase
from typing import TYPE_CHECKING

import msgspec

from churn.stores.prediction_log import schema
from churn.stores.prediction_log.binary_copy import copy_data
from churn.stores.prediction_log.segments import Batch
from churn.stores.prediction_log.sinks import Away, Refused, moment

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812
    from psycopg2.extensions import cursor as Cursor  # noqa: N812

CONNECT_S = 5
STATEMENT_S = 60

_AHEAD = dt.timedelta(days=14)
_DAY_S = 24 * 3600
_REFUSED = ("22", "23", "54")  # classes: data exception, integrity constraint violation, program limit exceeded
_NO_PARTITION = "23514"

_SETTINGS = (
    f"-c statement_timeout={STATEMENT_S * 1000} -c lock_timeout={STATEMENT_S * 1000} -c client_min_messages=error"
)
_COLUMNS = ", ".join(schema.COLUMNS)
_STAGE = "CREATE TEMP TABLE IF NOT EXISTS incoming_predictions (LIKE predictions) ON COMMIT DELETE ROWS"
_COPY = f"COPY {{}} ({_COLUMNS}) FROM STDIN (FORMAT binary)"
_ERASED_SINCE = "SELECT EXISTS (SELECT FROM prediction_erasures WHERE erased_at >= %s)"
# Whoever erases keeps writers out meanwhile: looked at under this lock, there is nobody, or they are seen.
_AMONG_WRITERS = "LOCK TABLE predictions IN ROW EXCLUSIVE MODE"
_SELECTED = _COLUMNS.replace("customer", "nullif(customer, decode(repeat('00', 16), 'hex'))")
_INSERT = f"""
    INSERT INTO predictions ({_COLUMNS})
    SELECT {_SELECTED} FROM incoming_predictions i
    WHERE NOT EXISTS (
        SELECT 1 FROM prediction_erasures e WHERE e.customer = i.customer AND e.erased_at >= i.predicted_at
    )
    ON CONFLICT DO NOTHING
"""  # noqa: S608 - the names are this module's
_LAYOUT = "INSERT INTO prediction_layouts (digest, model, columns) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
_MONTH = "SELECT prediction_month(%s)"


class PostgresSink:
    """Inserts batches, a transaction each; makes the months they need, and the one to come."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None
        self._months: set[tuple[int, int]] = set()
        self._layouts: set[str] = set()
        self._ahead_at = 0.0

    def connect(self) -> None:
        """A connection, unless there is one. Raises Away."""
        with self._told_apart():
            self._connected()

    def insert(self, batch: Batch) -> None:
        """One transaction. Raises Refused or Away."""
        with self._told_apart():
            self._insert(self._connected(), batch)

    def close(self) -> None:
        """Rolls back what is open, and forgets what was known about months: another connection looks again."""
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()
            self._connection = None
        self._months.clear()
        self._layouts.clear()
        self._ahead_at = 0.0

    @contextmanager
    def _told_apart(self) -> Iterator[None]:
        import psycopg2

        try:
            yield
        except psycopg2.Error as error:
            self.close()
            code = error.pgcode or ""
            kind = type(error).__name__
            if code.startswith(_REFUSED) and code != _NO_PARTITION:
                raise Refused(kind) from None
            raise Away(kind) from None
        except (ValueError, OverflowError, TypeError) as error:  # a number that fits no column
            self.close()
            raise Refused(type(error).__name__) from None

    def _insert(self, connection: Connection, batch: Batch) -> None:
        with connection.cursor() as cursor:
            self._ensure_months(cursor, batch)
            connection.commit()
            known = self._add_layouts(cursor, batch)
            if not (_is_plain(batch) and _copied_straight(cursor, batch)):
                cursor.execute(_STAGE)
                _copy(cursor, "incoming_predictions", batch)
                cursor.execute(_INSERT)
        connection.commit()
        self._layouts |= known

    def _connected(self) -> Connection:
        import psycopg2

        if self._connection is None or self._connection.closed:
            self._connection = psycopg2.connect(
                self._url,
                connect_timeout=CONNECT_S,
                options=_SETTINGS,
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=3,
                tcp_user_timeout=30_000,
                application_name="churn prediction log",
            )
        return self._connection

    def _ensure_months(self, cursor: Cursor, batch: Batch) -> None:
        moments = {int(moment(record.at)) // _DAY_S * _DAY_S for record in batch.records}
        wanted = {_utc(at) for at in moments}
        if time.monotonic() - self._ahead_at > _DAY_S or not self._ahead_at:
            now = dt.datetime.now(dt.UTC)
            wanted |= {now, now + _AHEAD}
            self._ahead_at = time.monotonic()
        for day in sorted(wanted):
            if (day.year, day.month) not in self._months:
                cursor.execute(_MONTH, (day,))
                self._months.add((day.year, day.month))

    def _add_layouts(self, cursor: Cursor, batch: Batch) -> set[str]:
        fresh = [layout for digest, layout in batch.layouts.items() if digest not in self._layouts]
        for layout in fresh:
            columns = msgspec.json.encode(layout.columns).decode()
            cursor.execute(_LAYOUT, (layout.digest, layout.model, columns))
        return {layout.digest for layout in fresh}


def _is_plain(batch: Batch) -> bool:
    """Whether no row without a customer stands among others: in rows of one width it has zeros for a name."""
    return all(record.customers is None or None not in record.customers for record in batch.records)


def _copied_straight(cursor: Cursor, batch: Batch) -> bool:
    """Whether the rows are in the log now: not where any is there already, nor where anybody was erased since."""
    import psycopg2

    cursor.execute(_AMONG_WRITERS)
    oldest = int(min(moment(record.at) for record in batch.records))
    cursor.execute(_ERASED_SINCE, (_utc(oldest),))
    found = cursor.fetchone()
    if found is None or found[0]:
        return False
    cursor.execute("SAVEPOINT straight")
    try:
        _copy(cursor, "predictions", batch)
    except psycopg2.errors.UniqueViolation:  # an earlier try came through after all
        cursor.execute("ROLLBACK TO SAVEPOINT straight")
        return False
    return True


def _copy(cursor: Cursor, table: str, batch: Batch) -> None:
    import psycopg2

    data = _Readable(copy_data(batch.records))
    try:
        cursor.copy_expert(_COPY.format(table), data)
    except psycopg2.Error:
        if data.fault is not None:
            raise data.fault from None
        raise


class _Readable(BufferedIOBase):
    """Parts as the driver wants them. What goes wrong in making one is kept: the driver would blame the database."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self.fault: Exception | None = None

    def read(self, _size: int | None = -1, /) -> bytes:
        """The next part, of whatever size; nothing at the end."""
        try:
            return next(self._parts, b"")
        except Exception as error:
            self.fault = error
            raise


def _utc(at: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(at, dt.UTC)
