"""Online stores with a table for each view, a row for each feature of an entity: SQLite and PostgreSQL."""

# ruff: noqa: S608 - values are parameters; names are this module's, or the database's own
from __future__ import annotations

import calendar
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from churn.stores.addresses import sqlite_file
from churn.stores.privacy.customer import Customer
from feature_repo.forgetting.keys import described, keys_like, parsed


class Tables:
    """A database, whichever it is."""

    mark = "%s"

    def held(self, customer: Customer) -> Iterator[tuple[str, dict[str, Any]]]:
        """The customer's values by table."""
        with closing(self.connect()) as connection:
            for table, key in self._keys(connection, customer):
                statement = f"SELECT feature_name, value, event_ts FROM {table} WHERE entity_key = {self.mark}"
                rows = self.run(connection, statement, key)
                if rows:
                    yield table, described(((name, value) for name, value, _ in rows), self.seen(rows[0][2]))

    def erase(self, customer: Customer) -> list[str]:
        """The tables in which there was something to delete."""
        gone = []
        with closing(self.connect()) as connection:
            for table, key in self._keys(connection, customer):
                statement = f"DELETE FROM {table} WHERE entity_key = {self.mark} RETURNING 1"
                if self.run(connection, statement, key):
                    gone.append(table)
            connection.commit()
            self.settle(connection)
        return gone

    def _keys(self, connection: Any, customer: Customer) -> Iterator[tuple[str, bytes]]:
        for table in self.tables(connection):
            sample = self.run(connection, f"SELECT entity_key FROM {table} LIMIT 1")
            like = parsed(bytes(sample[0][0])) if sample else None
            yield from ((table, key) for key in (keys_like(like, customer) if like else ()))

    def connect(self) -> Any:
        raise NotImplementedError

    def tables(self, connection: Any) -> list[str]:
        raise NotImplementedError

    def run(self, connection: Any, statement: str, *values: object) -> list[tuple[Any, ...]]:
        raise NotImplementedError

    def seen(self, stored: Any) -> Any:
        """The event timestamp that a table holds."""
        return stored

    def settle(self, connection: Any) -> None:
        """After a deletion is committed."""


class SqliteTables(Tables):
    mark = "?"

    def __init__(self, address: str) -> None:
        self._file = sqlite_file(address)

    def connect(self) -> sqlite3.Connection:
        if self._file is None or not self._file.is_file():
            return sqlite3.connect(":memory:")
        connection = sqlite3.connect(self._file, timeout=30)
        connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten, not merely let go of
        return connection

    def tables(self, connection: sqlite3.Connection) -> list[str]:
        known = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        return [f'"{name}"' for (name,) in known if {"entity_key", "feature_name"} <= self._columns(connection, name)]

    def run(self, connection: sqlite3.Connection, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return connection.execute(statement, values).fetchall()

    def seen(self, stored: float) -> float:
        return calendar.timegm(time.localtime(stored))  # Feast writes UTC as if it were local time

    def settle(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _columns(self, connection: sqlite3.Connection, table: str) -> set[str]:
        return {str(row[1]) for row in connection.execute(f'PRAGMA table_info("{table}")')}


class PostgresTables(Tables):
    def __init__(self, address: str) -> None:
        self._address = address

    def connect(self) -> Any:
        import psycopg2

        return psycopg2.connect(self._address, connect_timeout=10, application_name="churn privacy")

    def tables(self, connection: Any) -> list[str]:
        statement = """
            SELECT format('%I.%I', table_schema, table_name) FROM information_schema.columns
            WHERE column_name IN ('entity_key', 'feature_name', 'event_ts')
            GROUP BY table_schema, table_name HAVING count(*) = 3 ORDER BY 1
        """
        return [str(name) for (name,) in self.run(connection, statement)]

    def run(self, connection: Any, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())
