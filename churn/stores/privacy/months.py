"""Old months of the prediction log: what is due in them, and how it goes, all of it or nothing, on either database."""

# ruff: noqa: S608 - values are parameters; names are this module's, or the database's own
from __future__ import annotations

import datetime as dt
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol

from churn.domain.errors import UserError
from churn.stores.addresses import redacted, sqlite_file
from churn.stores.prediction_log import sqlite as log_file

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812
    from psycopg2.extensions import cursor as Cursor  # noqa: N812

AHEAD = 3
"""Months to come that have their partition made beforehand."""

_LOCK_S = 2
"""Who waits for a table's lock makes others wait behind them: so a reader of months is not waited for long."""

_PARTITION = re.compile(r"predictions_y(\d{4})m(\d{2})")


class Due(NamedTuple):
    """Predictions of a month from `since` until before `until` (UTC); `partition` is PostgreSQL's, where all of it goes
    when they are `whole`."""

    since: dt.datetime
    until: dt.datetime
    whole: bool = False
    partition: str = ""

    @property
    def name(self) -> str:
        """2026-08."""
        return f"{self.since:%Y-%m}"


class Months(Protocol):
    """What archiving asks of a database."""

    def due(self, before: dt.datetime) -> Iterator[Due]:
        """What is older than a time, by months, the oldest first."""

    def versions(self, due: Due) -> list[tuple[str, int]]:
        """The models and versions that predicted then."""

    def drop(self, due: Due, rows: int) -> bool:
        """Deletes these predictions if they are still that many; otherwise leaves them, and gives False."""

    def holds_any(self, keys: Sequence[tuple[bytes, int]]) -> bool:
        """Whether one of these rows (record and row number) is in the log."""

    def prepare(self) -> int:
        """Makes the months to come; gives how many are there now."""


def months(url: str) -> Months | None:
    """The log's months; None where there is no log yet."""
    file = sqlite_file(url)
    if file is None:
        postgres = _Postgres(url)
        return postgres if postgres.is_there() else None
    sqlite = _Sqlite(url)
    return sqlite if file.is_file() and sqlite.is_there() else None


def month_of(moment: dt.datetime) -> dt.datetime:
    """When the month of a time begins, UTC."""
    return moment.astimezone(dt.UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def after(month: dt.datetime, count: int = 1) -> dt.datetime:
    """When the month begins that is `count` months later."""
    number = month.year * 12 + month.month - 1 + count
    return month.replace(year=number // 12, month=number % 12 + 1)


class _Sqlite:
    def __init__(self, url: str) -> None:
        self._url = url

    def is_there(self) -> bool:
        known = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'predictions'"
        return bool(self._ask(known))

    def due(self, before: dt.datetime) -> Iterator[Due]:
        first = self._ask("SELECT min(predicted_at) FROM predictions")[0][0]
        if first is None:
            return
        month = month_of(dt.datetime.fromtimestamp(float(str(first)), dt.UTC))
        while month < before:
            due = Due(month, min(before, after(month)))
            if self._ask(f"SELECT 1 FROM predictions WHERE {_AMONG} LIMIT 1", *_bounds(due)):
                yield due
            month = after(month)

    def versions(self, due: Due) -> list[tuple[str, int]]:
        statement = f"SELECT DISTINCT model, version FROM predictions WHERE {_AMONG} ORDER BY 1, 2"
        return [(str(model), int(str(version))) for model, version in self._ask(statement, *_bounds(due))]

    def drop(self, due: Due, rows: int) -> bool:
        with self._opened() as connection:
            connection.execute("BEGIN IMMEDIATE")
            gone = connection.execute(f"DELETE FROM predictions WHERE {_AMONG}", _bounds(due)).rowcount
            connection.execute("COMMIT" if gone == rows else "ROLLBACK")
        return gone == rows

    def holds_any(self, keys: Sequence[tuple[bytes, int]]) -> bool:
        known = "SELECT 1 FROM predictions WHERE record = ? AND row = ?"
        return any(self._ask(known, *key) for key in keys)

    def prepare(self) -> int:
        return 0  # a SQLite file has no partitions

    def _ask(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        with self._opened() as connection:
            return connection.execute(statement, values).fetchall()

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(log_file.connect(self._url)) as connection:
                yield connection
        except sqlite3.Error as error:
            raise UserError(f"{error}", where=redacted(self._url), remedy="check CHURN_DATABASE") from None


_AMONG = "predicted_at >= ? AND predicted_at < ?"


def _bounds(due: Due) -> tuple[float, float]:
    return due.since.timestamp(), due.until.timestamp()


class _Postgres:
    def __init__(self, url: str) -> None:
        self._url = url

    def is_there(self) -> bool:
        return bool(self._ask("SELECT 1 WHERE to_regclass('predictions') IS NOT NULL"))

    def due(self, before: dt.datetime) -> Iterator[Due]:
        children = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'predictions'::regclass"
        for (name,) in sorted(self._ask(children)):
            found = _PARTITION.search(str(name))
            month = dt.datetime(int(found[1]), int(found[2]), 1, tzinfo=dt.UTC) if found else before
            if month >= before:
                continue
            due = Due(month, min(before, after(month)), after(month) <= before, str(name))
            if due.whole or self._ask(f"SELECT 1 FROM {name} WHERE predicted_at < %s LIMIT 1", due.until):
                yield due

    def versions(self, due: Due) -> list[tuple[str, int]]:
        statement = f"SELECT DISTINCT model, version FROM {due.partition} WHERE predicted_at < %s ORDER BY 1, 2"
        return [(str(model), int(str(version))) for model, version in self._ask(statement, due.until)]

    def drop(self, due: Due, rows: int) -> bool:
        import psycopg2

        with self._opened() as connection, connection.cursor() as cursor:
            try:
                done = self._dropped(cursor, due, rows)
            except (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected):
                done = False
            if done:
                connection.commit()
        return done

    def _dropped(self, cursor: Cursor, due: Due, rows: int) -> bool:
        cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_S}s'")
        cursor.execute(f"LOCK TABLE {due.partition} IN SHARE ROW EXCLUSIVE MODE")
        if not due.whole:
            cursor.execute(f"DELETE FROM {due.partition} WHERE predicted_at < %s", [due.until])
            return cursor.rowcount == rows
        cursor.execute(f"SELECT count(*) FROM {due.partition}")
        found = cursor.fetchone()
        if not found or found[0] != rows:
            return False
        cursor.execute(f"DROP TABLE {due.partition}")
        return True

    def holds_any(self, keys: Sequence[tuple[bytes, int]]) -> bool:
        if not keys:
            return False
        places = ", ".join(["(encode(%s, 'hex')::uuid, %s)"] * len(keys))
        values = [value for key in keys for value in key]
        return bool(self._ask(f"SELECT 1 FROM predictions WHERE (record, row) IN ({places}) LIMIT 1", *values))

    def prepare(self) -> int:
        now = month_of(dt.datetime.now(dt.UTC))
        wanted = [after(now, count) for count in range(AHEAD + 1)]
        for month in wanted:
            self._ask("SELECT prediction_month(%s)::text", month)
        return len(wanted)

    def _ask(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        with self._opened() as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall()

    @contextmanager
    def _opened(self) -> Iterator[Connection]:
        import psycopg2

        try:
            with closing(psycopg2.connect(self._url, connect_timeout=10)) as connection:
                yield connection
        except psycopg2.Error as error:
            reason = redacted(str(error).strip().split("\n", 1)[0])
            raise UserError(reason, where=redacted(self._url), remedy="check CHURN_DATABASE") from None
