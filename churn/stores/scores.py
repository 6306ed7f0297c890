"""The scores that applications read, in PostgreSQL or SQLite: one row a model and customer, the newest.

A run is written in one transaction: everything of it is there, or nothing. Of a customer who stands in it twice the
later event timestamp counts, and of two with the same (or none) the later row. A run of an earlier date changes no
score of a later one; a run of the same table for the same date takes the place of the former, also where that knew more
customers. What other tables gave of the date stays."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from io import BytesIO
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv

from churn.domain.errors import UserError
from churn.stores.addresses import redacted, sqlite_file

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812

GIVEN = pa.schema(
    [
        ("customer", pa.string()),
        ("event_timestamp", pa.timestamp("us", tz="UTC")),
        ("probability", pa.float64()),
        ("decision", pa.bool_()),
        ("risk", pa.string()),
        ("recommendation", pa.string()),
        ("reasons", pa.string()),
    ]
)
"""What `upsert` takes of each customer; `event_timestamp` and `reasons` may be null."""

_NAMES = ", ".join(GIVEN.names)
_KEPT = ", ".join(name for name in GIVEN.names if name != "customer")
_SET = ", ".join(f"{name} = excluded.{name}" for name in ("as_of", "version", "source", *GIVEN.names[1:]))
_CONFLICT = f"ON CONFLICT (model, customer) DO UPDATE SET {_SET} WHERE excluded.as_of >= scores.as_of"
_INTO = f"INSERT INTO scores (model, as_of, version, source, customer, {_KEPT})"
_STALE = """
    DELETE FROM scores WHERE model = {mark} AND as_of = {mark} AND source = {mark}
    AND NOT EXISTS (SELECT 1 FROM incoming_scores i WHERE i.customer = scores.customer)
"""

_LOCK_S = 60.0


class Run(msgspec.Struct, frozen=True):
    """Whose scores they are: a version's, of the table `source`, for a date."""

    model: str
    as_of: dt.date
    version: int
    source: str


class Upserted(msgspec.Struct, frozen=True):
    """Customers of a run: those that were written, and those whose newer score was kept; and how many were removed,
    whom an earlier run of its table and date knew."""

    customers: int
    written: int
    newer: int
    removed: int


def upsert(url: str, run: Run, batches: Iterable[pa.Table]) -> Upserted:
    """Writes a run's scores, tables of `GIVEN`. Memory does not grow with their number.

    Raises UserError when the database is away, refuses, or has no such table yet; nothing has changed then."""
    return _postgres(url, run, batches) if sqlite_file(url) is None else _sqlite(url, run, batches)


def _postgres(url: str, run: Run, batches: Iterable[pa.Table]) -> Upserted:
    import psycopg2

    try:
        connection = psycopg2.connect(url, connect_timeout=10, application_name="churn scores")
        with closing(connection) as database, database, database.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"scores of {run.model}",))
            _stage_postgres(cursor, batches)
            return _merge_postgres(cursor, run)
    except (psycopg2.errors.UndefinedTable, psycopg2.errors.UndefinedColumn) as error:
        problem = "has no table of scores yet, or one of an earlier release"
        raise UserError(problem, redacted(url), "run `churn data migrate`") from error
    except psycopg2.Error as error:
        reason = redacted(str(error).strip().split("\n", 1)[0]) or type(error).__name__
        raise UserError(reason, redacted(url), "check CHURN_DATABASE, and run again") from error


def _stage_postgres(cursor: Cursor, batches: Iterable[pa.Table]) -> None:
    cursor.execute("SET LOCAL client_min_messages = error")
    cursor.execute(
        "CREATE TEMP TABLE incoming_scores (place bigserial, customer text, event_timestamp timestamptz, "
        "probability double precision, decision boolean, risk text, recommendation text, reasons text) ON COMMIT DROP"
    )
    for batch in batches:
        data = BytesIO()
        pv.write_csv(batch.cast(GIVEN), data, pv.WriteOptions(include_header=False))
        data.seek(0)
        cursor.copy_expert(f"COPY incoming_scores ({_NAMES}) FROM STDIN (FORMAT csv)", data, size=1 << 20)
    cursor.execute("ANALYZE incoming_scores")


def _merge_postgres(cursor: Cursor, run: Run) -> Upserted:
    cursor.execute("SELECT count(DISTINCT customer) FROM incoming_scores")
    customers = (cursor.fetchone() or (0,))[0]
    cursor.execute(
        f"{_INTO} SELECT DISTINCT ON (customer) %s, %s, %s, %s, customer, {_KEPT} FROM incoming_scores "  # noqa: S608
        f"ORDER BY customer, event_timestamp DESC NULLS LAST, place DESC {_CONFLICT}",
        (run.model, run.as_of, run.version, run.source),
    )
    written = cursor.rowcount
    cursor.execute(_STALE.format(mark="%s"), (run.model, run.as_of, run.source))
    return Upserted(customers, written, customers - written, cursor.rowcount)


def _sqlite(url: str, run: Run, batches: Iterable[pa.Table]) -> Upserted:
    from churn.stores.database import migrate

    migrate(url)  # a file on one machine has no administrator who would do it before the first run
    file = sqlite_file(url)
    assert file is not None
    try:
        with closing(sqlite3.connect(file, timeout=_LOCK_S, isolation_level=None)) as database:
            _stage_sqlite(database, batches)
            database.execute("BEGIN IMMEDIATE")
            done = _merge_sqlite(database, run)
            database.execute("COMMIT")
            return done
    except sqlite3.Error as error:
        raise UserError(str(error), redacted(url), "check CHURN_DATABASE, and run again") from error


def _stage_sqlite(database: sqlite3.Connection, batches: Iterable[pa.Table]) -> None:
    """In a temporary table, which is this connection's alone: the file's readers and writers wait for nothing."""
    database.execute(f"CREATE TEMP TABLE incoming_scores ({_NAMES})")
    marks = ", ".join("?" * len(GIVEN))
    for batch in batches:
        columns = [_plain(batch.cast(GIVEN), name) for name in GIVEN.names]
        database.execute("BEGIN")
        database.executemany(f"INSERT INTO incoming_scores VALUES ({marks})", zip(*columns, strict=True))  # noqa: S608
        database.execute("COMMIT")
    database.execute("CREATE INDEX incoming_customer ON incoming_scores (customer)")


def _merge_sqlite(database: sqlite3.Connection, run: Run) -> Upserted:
    as_of = run.as_of.isoformat()
    customers = database.execute("SELECT count(DISTINCT customer) FROM incoming_scores").fetchone()[0]
    written = database.execute(
        f"{_INTO} SELECT ?, ?, ?, ?, customer, {_KEPT} FROM (SELECT *, row_number() OVER "  # noqa: S608
        "(PARTITION BY customer ORDER BY event_timestamp DESC NULLS LAST, rowid DESC) AS place FROM incoming_scores) "
        f"WHERE place = 1 {_CONFLICT}",
        (run.model, as_of, run.version, run.source),
    ).rowcount
    removed = database.execute(_STALE.format(mark="?"), (run.model, as_of, run.source)).rowcount
    return Upserted(customers, written, customers - written, removed)


def _plain(table: pa.Table, name: str) -> list[Any]:
    """Times as text that sorts, which SQLite lacks a type for."""
    values = table[name]
    if pa.types.is_timestamp(values.type):
        values = pc.strftime(values, "%Y-%m-%dT%H:%M:%SZ")
    found: list[Any] = values.to_pylist()
    return found
