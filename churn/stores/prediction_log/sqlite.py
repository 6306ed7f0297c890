"""The prediction log in a SQLite file, which is made with its tables when there is none."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from churn.stores.addresses import sqlite_file
from churn.stores.prediction_log import schema
from churn.stores.prediction_log.records import Logged
from churn.stores.prediction_log.segments import Batch
from churn.stores.prediction_log.sinks import Away, Refused, customers, moment, text

BUSY_S = 5.0

_REFUSED = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, OverflowError, ValueError)

_INSERT = f"""
    INSERT OR IGNORE INTO predictions ({", ".join(schema.COLUMNS)})
    SELECT {", ".join(f"?{place}" for place in range(1, len(schema.COLUMNS) + 1))}
    WHERE NOT EXISTS (SELECT 1 FROM prediction_erasures WHERE customer = ?9 AND erased_at >= ?3)
"""  # noqa: S608 - the names are this module's
_LAYOUT = "INSERT OR IGNORE INTO prediction_layouts (digest, model, columns) VALUES (?, ?, ?)"


def ensure_schema(url: str) -> None:
    """Makes the log's tables in a SQLite file, and the file, where they are not there yet.

    The statements are those of the Alembic revision, so `churn data migrate` finds its own work done. A file on one
    machine has no administrator who would migrate it before the first `churn serve`. Raises sqlite3.Error, OSError."""
    connection = connect(url)
    try:
        connection.execute("BEGIN IMMEDIATE")
        for statement in schema.SQLITE:
            connection.execute(statement)
        connection.execute("COMMIT")
    finally:
        connection.close()


def connect(url: str) -> sqlite3.Connection:
    """A connection that opens no transaction by itself and waits for other writers. Raises sqlite3.Error, OSError."""
    file = sqlite_file(url)
    assert file is not None
    file.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(file, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")  # readers wait for no writer
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


class SqliteSink:
    """Inserts batches, a transaction each."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: sqlite3.Connection | None = None

    def connect(self) -> None:
        """Opens the file, and makes its tables. Raises Away."""
        with self._told_apart():
            self._connected()

    def insert(self, batch: Batch) -> None:
        """One transaction. Raises Refused or Away."""
        with self._told_apart():
            self._insert(self._connected(), batch)

    def close(self) -> None:
        """Rolls back what is open."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            ensure_schema(self._url)
            self._connection = connect(self._url)
        return self._connection

    @contextmanager
    def _told_apart(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            self.close()
            raise Away(getattr(error, "sqlite_errorname", type(error).__name__)) from None
        except (
            sqlite3.IntegrityError,
            sqlite3.DataError,
            sqlite3.ProgrammingError,
            OverflowError,
            ValueError,
        ) as error:
            self.close()
            raise Refused(type(error).__name__) from None
        except sqlite3.Error as error:
            self.close()
            raise Away(type(error).__name__) from None

    def _insert(self, connection: sqlite3.Connection, batch: Batch) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for layout in batch.layouts.values():
            columns = msgspec.json.encode(layout.columns).decode()
            connection.execute(_LAYOUT, (layout.digest, layout.model, columns))
        connection.executemany(_INSERT, _rows(batch.records))
        connection.execute("COMMIT")


def _rows(records: list[Logged]) -> Iterator[tuple[object, ...]]:
    for record in records:
        at, request, model = moment(record.at), text(record.request_id), text(record.model)
        version, variant, shadow = record.version, text(record.variant), record.shadow
        threshold, latency, layout = record.threshold, record.latency_ms, text(record.layout)
        width = len(record.features) // record.rows
        probabilities = array("d", record.probabilities)
        for row, customer in enumerate(customers(record)):
            p = probabilities[row]
            features = record.features[row * width : (row + 1) * width]
            yield (
                record.record, row, at, request, model, version, variant, shadow, customer, p, p >= threshold,
                threshold, record.risks[row], latency, layout, features,
            )  # fmt: skip
