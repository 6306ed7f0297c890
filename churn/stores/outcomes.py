"""What became of customers, in PostgreSQL or SQLite: for each the last word, and in a history what was said before.

Customers stand under the pseudonyms of the prediction log. The same outcome again changes nothing; one that is known
for as long or longer takes the place of the former, which goes to the history; one that is known for less long is an
old one that comes late, and changes nothing. A file is loaded in one transaction: all of it, or nothing."""

# ruff: noqa: S608 - values are parameters; names are this module's
from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from churn.domain.errors import UserError
from churn.stores.addresses import redacted, sqlite_file

GIVEN = pa.schema(
    [
        ("customer", pa.binary()),
        ("left_at", pa.timestamp("us", tz="UTC")),
        ("known_until", pa.timestamp("us", tz="UTC")),
    ]
)
"""What `load` takes of each customer, and `read` gives; `left_at` is null for who has not left."""

_LOCK_S = 60.0
_ROWS = 20_000


class Loaded(msgspec.Struct, frozen=True):
    """Customers in what was loaded, and what came of them: `new`, `changed` (the former is in the history), `same`,
    `late` (something newer is known), `erased` (they asked for it since). `unknown` of them no prediction was logged
    for: their outcomes are kept, for one may still be on its way."""

    customers: int
    new: int
    changed: int
    same: int
    late: int
    erased: int
    unknown: int


def load(url: str, model: str, batches: Iterable[pa.Table], now: dt.datetime) -> Loaded:
    """Loads tables of `GIVEN`; of a customer who stands there twice, what is known for longer, else the later row.

    Raises UserError when the database is away, refuses, or has no such table yet; nothing has changed then."""
    with _opened(url, write=True) as database:
        database.begin(model)
        for batch in batches:
            database.stage(batch.cast(GIVEN))
        return _merged(database, model, database.moment(now))


def read(url: str, model: str) -> pa.Table:
    """All outcomes of a model's customers, a table of `GIVEN`.

    Raises UserError when the database is away or has no such table yet."""
    with _opened(url, write=False) as database:
        found = database.read(
            f"SELECT customer, left_at, known_until FROM outcomes WHERE model = {database.mark}", model
        )
        chunks = [_table(rows) for rows in found]
    return pa.concat_tables([GIVEN.empty_table(), *chunks])


def met(customers: pa.ChunkedArray, known: pa.Table) -> pa.Table:
    """What is known of each of the customers (n,), of what `read` gave: `left_at` and `known_until`, null where nothing
    is."""
    at = pc.index_in(customers.combine_chunks().cast(pa.binary()), known["customer"].combine_chunks().cast(pa.binary()))
    return pa.table({name: known[name].combine_chunks().take(at) for name in ("left_at", "known_until")})


def _merged(database: _Database, model: str, now: Any) -> Loaded:
    """The staged outcomes merged into the table. Each statement looks at the table as the one before has left it."""
    mark = database.mark
    customers = database.settle()
    erased = database.change(
        "DELETE FROM incoming_outcomes WHERE EXISTS (SELECT 1 FROM prediction_erasures e "
        "WHERE e.customer = incoming_outcomes.customer AND e.erased_at >= incoming_outcomes.known_until)"
    )
    unknown = database.count(
        "SELECT count(*) FROM incoming_outcomes i WHERE NOT EXISTS "
        f"(SELECT 1 FROM predictions p WHERE p.customer = i.customer AND p.model = {mark})", model
    )  # fmt: skip
    met = f"FROM incoming_outcomes i JOIN outcomes o ON o.customer = i.customer AND o.model = {mark}"
    differs = f"(i.left_at {database.differs} o.left_at OR i.known_until <> o.known_until)"
    late = database.count(f"SELECT count(*) {met} WHERE i.known_until < o.known_until", model)
    changed = database.change(
        "INSERT INTO outcome_history (model, customer, left_at, known_until, loaded_at, replaced_at) "
        f"SELECT o.model, o.customer, o.left_at, o.known_until, o.loaded_at, {mark} {met} "
        f"WHERE i.known_until >= o.known_until AND {differs}", now, model
    )  # fmt: skip
    before = database.count(f"SELECT count(*) FROM outcomes WHERE model = {mark}", model)
    database.change(
        "INSERT INTO outcomes (model, customer, left_at, known_until, loaded_at) "
        f"SELECT {database.typed}, customer, left_at, known_until, {mark} FROM incoming_outcomes WHERE true "
        "ON CONFLICT (model, customer) DO UPDATE SET left_at = excluded.left_at, known_until = excluded.known_until, "
        "loaded_at = excluded.loaded_at WHERE excluded.known_until >= outcomes.known_until AND "
        f"(excluded.left_at {database.differs} outcomes.left_at OR excluded.known_until <> outcomes.known_until)",
        model, now,
    )  # fmt: skip
    new = database.count(f"SELECT count(*) FROM outcomes WHERE model = {mark}", model) - before
    return Loaded(customers, new, changed, customers - erased - new - changed - late, late, erased, unknown)


class _Database:
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


@contextmanager
def _opened(url: str, *, write: bool) -> Iterator[_Database]:
    with _postgres(url) if sqlite_file(url) is None else _sqlite(url, write=write) as database:
        yield database


class _Postgres(_Database):
    mark, typed, differs = "%s", "%s::text", "IS DISTINCT FROM"

    def __init__(self, connection: Any) -> None:
        self._connection, self._cursor = connection, connection.cursor()

    def begin(self, model: str) -> None:
        self._cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"outcomes of {model}",))
        self._cursor.execute("SET LOCAL client_min_messages = error")
        self._cursor.execute(
            "CREATE TEMP TABLE incoming_outcomes (place bigserial, customer bytea, left_at timestamptz, "
            "known_until timestamptz) ON COMMIT DROP"
        )

    def stage(self, batch: pa.Table) -> None:
        from io import StringIO

        columns = (batch[name].to_pylist() for name in GIVEN.names)
        lines = (
            f"\\\\x{customer.hex()}\t{left.isoformat() if left else chr(92) + 'N'}\t{known.isoformat()}\n"
            for customer, left, known in zip(*columns, strict=True)
        )
        into = "COPY incoming_outcomes (customer, left_at, known_until) FROM STDIN"
        self._cursor.copy_expert(into, StringIO("".join(lines)))

    def settle(self) -> int:
        self._cursor.execute("CREATE INDEX ON incoming_outcomes (customer)")
        self._cursor.execute("ANALYZE incoming_outcomes")
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
                yield [(bytes(customer), left, known) for customer, left, known in rows]


@contextmanager
def _postgres(url: str) -> Iterator[_Database]:
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


class _Sqlite(_Database):
    mark, typed, differs = "?", "?", "IS NOT"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def begin(self, model: str) -> None:  # noqa: ARG002 - one writes at a time, whatever the model
        self._connection.execute("CREATE TEMP TABLE incoming_outcomes (customer, left_at, known_until)")

    def stage(self, batch: pa.Table) -> None:
        columns = [batch["customer"].to_pylist(), _seconds(batch["left_at"]), _seconds(batch["known_until"])]
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT INTO incoming_outcomes VALUES (?, ?, ?)", zip(*columns, strict=True))
        self._connection.execute("COMMIT")

    def settle(self) -> int:
        self._connection.execute("CREATE INDEX incoming_customer ON incoming_outcomes (customer)")
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
            yield [(customer, _time(left), _time(known)) for customer, left, known in rows]


@contextmanager
def _sqlite(url: str, *, write: bool) -> Iterator[_Database]:
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


def _table(rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table([pa.array(values, field.type) for values, field in zip(columns, GIVEN, strict=True)], schema=GIVEN)
