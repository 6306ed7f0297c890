"""Rows of the customer in the database: the table of customers, and the prediction log with all its months."""

# ruff: noqa: S608 - values are parameters; names are this module's, or the database's own
from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.domain.contract import Contract
from churn.domain.errors import UserError
from churn.stores.addresses import redacted, sqlite_file
from churn.stores.prediction_log import fingerprints
from churn.stores.prediction_log import sqlite as log_file
from churn.stores.prediction_log.pseudonyms import Pseudonyms
from churn.stores.privacy.customer import Customer, counting
from churn.stores.privacy.places import Held

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812
    from psycopg2.extensions import cursor as Cursor  # noqa: N812

_LOG = "predictions"
_ID = "customerID"

WITH_CUSTOMERS = {
    *("customers", "scores"),
    *(_LOG, "prediction_erasures"),  # the latter says of whom nothing is let in any more, and by a pseudonym alone
    *("outcomes", "outcome_history"),
}
"""The tables in which customers are, each the concern of a place."""

WITHOUT_CUSTOMERS = {
    *("prediction_layouts", "prediction_key", "drift_reports", "model_performance"),
    *("leases", "retrainings", "notices", "notice_queue", "rollout_decisions"),
    "churn_schema_version",
}
"""The others: what they hold is about models, and leads to nobody."""


class _ById:
    """A table that holds customers by their id, as text; one row or more each.

    The id is taken as it was given, and in a number's usual spelling only where one of the contracts counts."""

    name: str
    table: str

    def __init__(self, url: str, customer: Customer, contracts: Iterable[Contract]) -> None:
        self._url = url
        self._among, self._values = self._named(customer, counting(contracts))

    def _named(self, customer: Customer, counted: Sequence[Contract]) -> tuple[str, list[str]]:
        """A condition that is true of the customer's rows, and its values."""
        raise NotImplementedError

    def find(self) -> Iterator[Held]:
        """The table, when there are rows."""
        with database(self._url) as asked:
            found = asked.run(f"SELECT count(*) FROM {self.table} WHERE {self._among}", self._values, self.table)
        if found and found[0][0]:
            yield Held(self.name, self.table, int(found[0][0]))

    def erase(self) -> Iterator[Held]:
        """Deletes the rows."""
        with database(self._url) as asked:
            gone = asked.run(f"DELETE FROM {self.table} WHERE {self._among} RETURNING 1", self._values, self.table)
        if gone:
            yield Held(self.name, self.table, len(gone))

    def rows(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """The rows by column."""
        with database(self._url) as asked:
            found = asked.run(f"SELECT * FROM {self.table} WHERE {self._among}", self._values, self.table)
            named = [dict(zip(asked.columns, row, strict=True)) for row in found]
        if named:
            yield self.table, named


class CustomerTable(_ById):
    """Whom a training may read."""

    name, table = "database", "customers"

    def _named(self, customer: Customer, counted: Sequence[Contract]) -> tuple[str, list[str]]:
        keys = {one.source_of(one.key.column) for one in counted if one.key}
        return f'"{_ID}" IN (%s, %s)', [customer.text, customer.usual if _ID in keys else customer.text]


class ScoreTable(_ById):
    """What applications read. Erased after the published scores, which a run holds while it writes this table too."""

    name, table = "scores", "scores"

    def _named(self, customer: Customer, counted: Sequence[Contract]) -> tuple[str, list[str]]:
        models = sorted({one.name for one in counted})
        known = ", ".join(["%s"] * len(models)) or "NULL"
        among = f"(customer = %s OR (customer = %s AND model IN ({known})))"
        return among, [customer.text, customer.usual, *models]


class LoggedPredictions:
    """The prediction log. From the erasure on, what is still on its way to it of before is not let in."""

    name = "prediction log"

    def __init__(self, url: str, customer: Customer) -> None:
        self._url, self._names = url, list(customer.pseudonyms)

    def find(self) -> Iterator[Held]:
        """The log, when there are rows."""
        with database(self._url) as asked:
            found = asked.run(f"SELECT count(*) FROM {_LOG} WHERE {self._among()}", self._names, _LOG)
        if found and found[0][0]:
            yield Held(self.name, _LOG, int(found[0][0]))

    def erase(self) -> Iterator[Held]:
        """Deletes the rows in one transaction, in which writers wait: none of them inserts what it read before.

        A SQLite file gets the log's tables first, as whoever delivers a spool would make them."""
        if sqlite_file(self._url) is not None:
            with _answered(self._url):
                log_file.ensure_schema(self._url)
        with database(self._url) as asked:
            if not asked.has(_LOG):
                return
            now = asked.moment(time.time())
            for name in self._names:
                asked.run(asked.mark_erased, [name, now], _LOG)
            asked.hold_writers()
            gone = asked.run(f"DELETE FROM {_LOG} WHERE {self._among()} RETURNING 1", self._names, _LOG)
        if gone:
            yield Held(self.name, _LOG, len(gone))

    def rows(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """The predictions, features by name."""
        from churn.stores.prediction_log.reading import Query, read

        with database(self._url) as asked:
            there = asked.has(_LOG)
        if there and self._names:
            found = [row for batch in read(self._url, Query(customers=tuple(self._names))) for row in batch.to_pylist()]
            if found:
                yield _LOG, found

    def _among(self) -> str:
        return f"customer IN ({', '.join(['%s'] * len(self._names)) or 'NULL'})"


def names_customers(url: str) -> bool:
    """Whether anybody is in the log by a pseudonym, or on the way there: somebody's key is known."""
    with database(url) as asked:
        found = asked.run(f"SELECT 1 FROM {_LOG} WHERE customer IS NOT NULL LIMIT 1", [], _LOG)
        return bool(found or asked.run(fingerprints.KNOWN, [], "prediction_key"))


def names_by(url: str, key: Path, *, named: bool) -> Pseudonyms | None:
    """Names by the key in a file, which must be the log's; None where there is no key. `named` says that somebody has
    a name already: then there must be one.

    Raises UserError for a key that is lost, or another one: whoever asks by it would find nobody."""
    if not key.exists():
        if not named:
            return None
        remedy = "point CHURN_LOG_KEY at the key that the predictor has"
        raise UserError("there is no key, and customers are in the log under names made with one", str(key), remedy)
    names = Pseudonyms.load(key)
    with database(url) as asked:
        found = asked.run(fingerprints.KNOWN, [], "prediction_key")
    fingerprints.refuse_other(bytes(found[0][0]) if found else None, names, key)
    return names


class Database:
    """One transaction on either database; statements have `%s` for values, and say nothing where a table is not."""

    mark_erased: str
    columns: list[str]

    def has(self, table: str) -> bool:
        """Whether there is such a table."""
        raise NotImplementedError

    def moment(self, at: float) -> Any:
        """A time as the database's columns have it."""
        raise NotImplementedError

    def hold_writers(self) -> None:
        """Waits until whoever inserts predictions has done so; others wait for the end of the transaction."""
        raise NotImplementedError

    def run(self, statement: str, values: list[Any], table: str) -> list[tuple[Any, ...]]:
        """The rows a statement gives; none where there is no such table."""
        raise NotImplementedError


@contextmanager
def database(url: str) -> Iterator[Database]:
    """The database at an address, in a transaction that is committed at the end. A SQLite file is not made.

    Raises UserError, which quotes no value, for what the database answers with."""
    with _answered(url), _sqlite(url) if sqlite_file(url) is not None else _postgres(url) as opened:
        yield opened


@contextmanager
def _answered(url: str) -> Iterator[None]:
    import psycopg2

    try:
        yield
    except (sqlite3.Error, psycopg2.Error) as error:
        kind = getattr(error, "sqlite_errorname", None) or type(error).__name__
        raise UserError(f"the database refuses ({kind})", where=redacted(url), remedy="check CHURN_DATABASE") from None


class _Sqlite(Database):
    mark_erased = """
        INSERT INTO prediction_erasures (customer, erased_at) VALUES (%s, %s)
        ON CONFLICT (customer) DO UPDATE SET erased_at = max(erased_at, excluded.erased_at)
    """

    def __init__(self, connection: sqlite3.Connection | None) -> None:
        self._connection = connection

    def has(self, table: str) -> bool:
        if self._connection is None:
            return False
        known = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        return self._connection.execute(known, [table]).fetchone() is not None

    def moment(self, at: float) -> float:
        return at

    def hold_writers(self) -> None:
        """There is one writer at a time, and it is this one."""

    def run(self, statement: str, values: list[Any], table: str) -> list[tuple[Any, ...]]:
        if self._connection is None or not self.has(table):
            return []
        cursor = self._connection.execute(statement.replace("%s", "?"), values)
        self.columns = [column[0] for column in cursor.description or ()]
        return cursor.fetchall()


@contextmanager
def _sqlite(url: str) -> Iterator[Database]:
    file = sqlite_file(url)
    if file is None or not file.is_file():
        yield _Sqlite(None)
        return
    with closing(log_file.connect(url)) as connection:
        connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten, not merely let go of
        connection.execute("BEGIN IMMEDIATE")
        yield _Sqlite(connection)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


class _Postgres(Database):
    mark_erased = """
        INSERT INTO prediction_erasures (customer, erased_at) VALUES (%s, %s)
        ON CONFLICT (customer) DO UPDATE SET erased_at = greatest(prediction_erasures.erased_at, excluded.erased_at)
    """

    def __init__(self, connection: Connection, cursor: Cursor) -> None:
        self._connection, self._cursor = connection, cursor

    def has(self, table: str) -> bool:
        self._cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [table])
        row = self._cursor.fetchone()
        return bool(row and row[0])

    def moment(self, at: float) -> Any:
        import datetime as dt

        return dt.datetime.fromtimestamp(at, dt.UTC)

    def hold_writers(self) -> None:
        self._cursor.execute(f"LOCK TABLE {_LOG} IN SHARE ROW EXCLUSIVE MODE")

    def run(self, statement: str, values: list[Any], table: str) -> list[tuple[Any, ...]]:
        if not self.has(table):
            return []
        self._cursor.execute(statement, values)
        self.columns = [column.name for column in self._cursor.description or ()]
        return self._cursor.fetchall() if self._cursor.description else []


@contextmanager
def _postgres(url: str) -> Iterator[Database]:
    import psycopg2

    with closing(psycopg2.connect(url, connect_timeout=10, application_name="churn privacy")) as connection:
        with connection.cursor() as cursor:
            yield _Postgres(connection, cursor)
        connection.commit()
