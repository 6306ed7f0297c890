"""Where outcomes stand: one transaction on PostgreSQL or SQLite, in which they are staged and then merged."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pyarrow as pa

from churn.domain.errors import UserError
from churn.stores.addresses import redacted, sqlite_file

_MOMENT = pa.timestamp("us", tz="UTC")

KNOWN = pa.schema(
    [("customer", pa.binary()), ("left_at", _MOMENT), ("known_until", _MOMENT), ("stayed_until", _MOMENT)]
)
"""What is known of each customer; `stayed_until` is null where nobody knows for how long a leaver had stayed."""

COLUMNS = ", ".join(KNOWN.names)

_STAYED = """
    UPDATE incoming_outcomes SET stayed_until = (
        SELECT max(j.known_until) FROM incoming_outcomes j
        WHERE j.customer = incoming_outcomes.customer
        AND j.left_at IS NULL AND j.known_until < incoming_outcomes.left_at
    ) WHERE stayed_until IS NULL
"""

_LOCK_S = 60.0
_ROWS = 20_000


@contextmanager
def opened(url: str, *, write: bool) -> Iterator[Database]:
    """A transaction, committed at the end. Raises UserError when the database is away, or has no such table yet."""
    with _postgres(url) if sqlite_file(url) is None else _sqlite(url, write=write) as database:
        yield database


class Database:
    """One transaction on either database."""

    mark: str
    typed: str
    differs: str

    def begin(self, model: str) -> None:
        """Takes the turn among those who load outcomes of this model, and makes room for what comes."""
        raise NotImplementedError

    def stage(self, batch: pa.Table) -> None:
        """Takes outcomes in."""
        raise NotImplementedError

    def settle(self) -> int:
        """Leaves one row a customer of what was staged; gives their number."""
        raise NotImplementedError

    def moment(self, at: dt.datetime) -> Any:
        """A time as its columns have it."""
        raise NotImplementedError

    def change(self, statement: str, *values: Any) -> int:
        """Runs a statement; gives how many rows it changed."""
        raise NotImplementedError

    def count(self, statement: str, *values: Any) -> int:
        """The one number a statement gives."""
        raise NotImplementedError

    def read(self, statement: str, *values: Any) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a statement, some at a time."""
        raise NotImplementedError


class _Postgres(Database):
    mark, typed, differs = "%s", "%s::text", "IS DISTINCT FROM"

    def __init__(self, connection: Any) -> None:
        self._connection, self._cursor = connection, connection.cursor()

    def begin(self, model: str) -> None:
        self._cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"outcomes of {model}",))
        self._cursor.execute("SET LOCAL client_min_messages = error")
        self._cursor.execute(
            "CREATE TEMP TABLE incoming_outcomes (place bigserial, customer bytea, left_at timestamptz, "
            "known_until timestamptz, stayed_until timestamptz, left_by boolean) ON COMMIT DROP"
        )

    def stage(self, batch: pa.Table) -> None:
        from io import StringIO

        columns = (batch[name].to_pylist() for name in batch.column_names)
        lines = (
            "\t".join((f"\\\\x{customer.hex()}", *(one.isoformat() if one else "\\N" for one in times), f"{by:d}\n"))
            for customer, *times, by in zip(*columns, strict=True)
        )
        into = f"COPY incoming_outcomes ({COLUMNS}, left_by) FROM STDIN"
        self._cursor.copy_expert(into, StringIO("".join(lines)))

    def settle(self) -> int:
        self._cursor.execute("CREATE INDEX ON incoming_outcomes (customer)")
        self._cursor.execute("ANALYZE incoming_outcomes")
        self._cursor.execute(_STAYED)
        self._cursor.execute(
            "DELETE FROM incoming_outcomes i WHERE EXISTS (SELECT 1 FROM incoming_outcomes j WHERE "
            "j.customer = i.customer AND (j.known_until, j.place) > (i.known_until, i.place))"
        )
        return self.count("SELECT count(*) FROM incoming_outcomes")

    def moment(self, at: dt.datetime) -> Any:
        return at

    def change(self, statement: str, *values: Any) -> int:
        self._cursor.execute(statement, values)
        return int(self._cursor.rowcount)

    def count(self, statement: str, *values: Any) -> int:
        self._cursor.execute(statement, values)
        return int(self._cursor.fetchone()[0])

    def read(self, statement: str, *values: Any) -> Iterator[list[tuple[Any, ...]]]:
        with self._connection.cursor("churn_outcomes") as cursor:
            cursor.execute(statement, values)
            while rows := cursor.fetchmany(_ROWS):
                yield [(bytes(customer), *times) for customer, *times in rows]


@contextmanager
def _postgres(url: str) -> Iterator[Database]:
    import psycopg2

    try:
        connection = psycopg2.connect(url, connect_timeout=10, application_name="churn outcomes")
        with closing(connection) as database, database:
            yield _Postgres(database)
    except psycopg2.errors.UndefinedTable as error:
        raise UserError("has no table of outcomes yet", redacted(url), "run `churn data migrate`") from error
    except psycopg2.Error as error:
        reason = redacted(str(error).strip().split("\n", 1)[0]) or type(error).__name__
        raise UserError(reason, redacted(url), "check CHURN_DATABASE, and run again") from error


class _Sqlite(Database):
    mark, typed, differs = "?", "?", "IS NOT"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def begin(self, model: str) -> None:  # noqa: ARG002 - one writes at a time, whatever the model
        self._connection.execute(f"CREATE TEMP TABLE incoming_outcomes ({COLUMNS}, left_by)")

    def stage(self, batch: pa.Table) -> None:
        times = (_seconds(batch[name]) for name in KNOWN.names[1:])
        columns = [batch["customer"].to_pylist(), *times, batch["left_by"].to_pylist()]
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT INTO incoming_outcomes VALUES (?, ?, ?, ?, ?)", zip(*columns, strict=True))
        self._connection.execute("COMMIT")

    def settle(self) -> int:
        self._connection.execute("CREATE INDEX incoming_customer ON incoming_outcomes (customer)")
        self._connection.execute(_STAYED)
        self._connection.execute("BEGIN IMMEDIATE")  # only now do readers and writers of the file have to wait
        self._connection.execute(
            "DELETE FROM incoming_outcomes WHERE EXISTS (SELECT 1 FROM incoming_outcomes j WHERE "
            "j.customer = incoming_outcomes.customer AND "
            "(j.known_until, j.rowid) > (incoming_outcomes.known_until, incoming_outcomes.rowid))"
        )
        return self.count("SELECT count(*) FROM incoming_outcomes")

    def moment(self, at: dt.datetime) -> Any:
        return at.timestamp()

    def change(self, statement: str, *values: Any) -> int:
        return self._connection.execute(statement, values).rowcount

    def count(self, statement: str, *values: Any) -> int:
        return int(self._connection.execute(statement, values).fetchone()[0])

    def read(self, statement: str, *values: Any) -> Iterator[list[tuple[Any, ...]]]:
        cursor = self._connection.execute(statement, values)
        while rows := cursor.fetchmany(_ROWS):
            yield [(customer, *map(_time, times)) for customer, *times in rows]


@contextmanager
def _sqlite(url: str, *, write: bool) -> Iterator[Database]:
    from churn.stores.database import migrate

    if write:
        migrate(url)  # a file on one machine has no administrator who would do it before
    file = sqlite_file(url)
    assert file is not None
    try:
        address = f"{file.as_uri()}?mode={'rw' if write else 'ro'}"
        with closing(sqlite3.connect(address, uri=True, timeout=_LOCK_S, isolation_level=None)) as connection:
            yield _Sqlite(connection)
            if connection.in_transaction:
                connection.execute("COMMIT")
    except sqlite3.Error as error:
        missing = "no such table" in str(error)
        remedy = "run `churn data migrate`" if missing else "check CHURN_DATABASE, and run again"
        raise UserError(str(error), redacted(url), remedy) from error


def _seconds(values: pa.ChunkedArray) -> list[float | None]:
    whole = values.cast(pa.int64()).to_pylist()
    return [None if one is None else one / 1e6 for one in whole]


def _time(seconds: float | None) -> dt.datetime | None:
    return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC)
