"""What became of customers, in PostgreSQL or SQLite: for each the last word, and in a history what was said before.

Customers stand under the pseudonyms of the prediction log. The same outcome again changes nothing; one that is known
for as long or longer takes the place of the former, which goes to the history; one that is known for less long is an
old one that comes late, and changes nothing. A file is loaded in one transaction: all of it, or nothing.

Of a leaver it may be known only by when they have left: between the time until which they are known to have stayed, if
any is, and that one. Whoever has such an outcome keeps a date of leaving that is known already, and how long they had
stayed."""

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
        ("left_by", pa.bool_()),
    ]
)
"""What `load` takes of each customer; `left_at` is null for who has not left, and the latest it can be if `left_by`."""

KNOWN = pa.schema([*list(GIVEN)[:3], pa.field("stayed_until", pa.timestamp("us", tz="UTC"))])
"""What `read` gives; `stayed_until` is null where nobody knows for how long a leaver had stayed."""

_COLUMNS = ", ".join(KNOWN.names)

_STAYED = """
    UPDATE incoming_outcomes SET stayed_until = (
        SELECT max(j.known_until) FROM incoming_outcomes j
        WHERE j.customer = incoming_outcomes.customer
        AND j.left_at IS NULL AND j.known_until < incoming_outcomes.left_at
    ) WHERE stayed_until IS NULL
"""

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
            database.stage(_staged(batch.cast(GIVEN)))
        return _merged(database, model, database.moment(now))


def read(url: str, model: str) -> pa.Table:
    """All outcomes of a model's customers, a table of `KNOWN`.

    Raises UserError when the database is away or has no such table yet."""
    with _opened(url, write=False) as database:
        found = database.read(f"SELECT {_COLUMNS} FROM outcomes WHERE model = {database.mark}", model)
        chunks = [_table(rows) for rows in found]
    return pa.concat_tables([KNOWN.empty_table(), *chunks])


def met(customers: pa.ChunkedArray, known: pa.Table) -> pa.Table:
    """What is known of each of the customers (n,), of what `read` gave: `left_at` and `stayed_until`, or null."""
    at = pc.index_in(customers.combine_chunks().cast(pa.binary()), known["customer"].combine_chunks().cast(pa.binary()))
    return pa.table({name: known[name].combine_chunks().take(at) for name in ("left_at", "stayed_until")})


def _staged(batch: pa.Table) -> pa.Table:
    """Outcomes as they are stored, with `left_by` behind."""
    left, known = batch["left_at"], batch["known_until"]
    by = pc.and_(pc.is_valid(left), pc.fill_null(batch["left_by"], fill_value=False))
    stayed = pc.if_else(by, pa.scalar(None, known.type), pc.coalesce(left, known))
    return pa.table([batch["customer"], left, known, stayed, by], names=[*KNOWN.names, "left_by"])


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
    database.change(  # a date, or how long they had stayed, that is known already
        "UPDATE incoming_outcomes SET left_at = coalesce(o.left_at, incoming_outcomes.left_at), "
        "stayed_until = o.stayed_until FROM outcomes o "
        f"WHERE o.customer = incoming_outcomes.customer AND o.model = {mark} AND incoming_outcomes.left_by "
        "AND coalesce(o.left_at, o.stayed_until) <= incoming_outcomes.left_at "
        "AND coalesce(o.stayed_until >= incoming_outcomes.stayed_until, incoming_outcomes.stayed_until IS NULL)", model
    )  # fmt: skip
    met = f"FROM incoming_outcomes i JOIN outcomes o ON o.customer = i.customer AND o.model = {mark}"
    late = database.count(f"SELECT count(*) {met} WHERE i.known_until < o.known_until", model)
    changed = database.change(
        f"INSERT INTO outcome_history (model, {_COLUMNS}, loaded_at, replaced_at) "
        f"SELECT o.model, {', '.join(f'o.{name}' for name in KNOWN.names)}, o.loaded_at, {mark} {met} "
        f"WHERE i.known_until >= o.known_until AND {_differ(database, 'i', 'o')}", now, model
    )  # fmt: skip
    before = database.count(f"SELECT count(*) FROM outcomes WHERE model = {mark}", model)
    database.change(
        f"INSERT INTO outcomes (model, {_COLUMNS}, loaded_at) "
        f"SELECT {database.typed}, {_COLUMNS}, {mark} FROM incoming_outcomes WHERE true "
        "ON CONFLICT (model, customer) DO UPDATE SET left_at = excluded.left_at, known_until = excluded.known_until, "
        "stayed_until = excluded.stayed_until, loaded_at = excluded.loaded_at "
        f"WHERE excluded.known_until >= outcomes.known_until AND {_differ(database, 'excluded', 'outcomes')}",
        model, now,
    )  # fmt: skip
    new = database.count(f"SELECT count(*) FROM outcomes WHERE model = {mark}", model) - before
    return Loaded(customers, new, changed, customers - erased - new - changed - late, late, erased, unknown)


def _differ(database: _Database, one: str, other: str) -> str:
    """A condition: whether two rows say different things of a customer."""
    return f"({' OR '.join(f'{one}.{name} {database.differs} {other}.{name}' for name in KNOWN.names[1:])})"


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
            "known_until timestamptz, stayed_until timestamptz, left_by boolean) ON COMMIT DROP"
        )

    def stage(self, batch: pa.Table) -> None:
        from io import StringIO

        columns = (batch[name].to_pylist() for name in batch.column_names)
        lines = (
            "\t".join((f"\\\\x{customer.hex()}", *(one.isoformat() if one else "\\N" for one in times), f"{by:d}\n"))
            for customer, *times, by in zip(*columns, strict=True)
        )
        into = f"COPY incoming_outcomes ({_COLUMNS}, left_by) FROM STDIN"
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
        self._connection.execute(f"CREATE TEMP TABLE incoming_outcomes ({_COLUMNS}, left_by)")

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
    return pa.table([pa.array(values, field.type) for values, field in zip(columns, KNOWN, strict=True)], schema=KNOWN)
