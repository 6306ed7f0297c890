"""The online store, in every project and view, asked for one customer by what Feast wrote. Needs no Feast.

A view that no contract speaks of any more still holds its customers, so that tables and keys are looked at as they are:
an entity key says itself how its join key is called, of what type it is, and whom it names."""

# ruff: noqa: S608 - values are parameters; names are this module's, or the database's own
from __future__ import annotations

import calendar
import math
import re
import sqlite3
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, NamedTuple

from churn.domain.contract import Contract
from churn.domain.errors import UserError
from churn.stores.addresses import redacted, sqlite_file
from churn.stores.privacy.customer import Customer
from churn.stores.privacy.places import Held
from churn.stores.settings import Settings
from feature_repo import names
from feature_repo.locks import online_lock

_STRING, _INT64 = 2, 4  # feast.types.ValueType
_SCANNED = 5_000  # keys of Redis that are looked at in one call, between which it serves others


class EntityKey(NamedTuple):
    """A serialised entity key, read: the bytes before the length of its value, the value's type, and where it ends."""

    prefix: bytes
    kind: int
    value: bytes
    end: int


def parsed(key: bytes) -> EntityKey | None:
    """An entity key of one join key (Feast's version 3), with whatever follows it; None for other bytes."""
    try:
        count, kind, length = struct.unpack_from("<III", key)
        start = 12 + length
        value_kind, size = struct.unpack_from("<II", key, start)
    except struct.error:
        return None
    end = start + 8 + size
    if (count, kind) != (1, _STRING) or value_kind not in {_STRING, _INT64} or end > len(key):
        return None
    return EntityKey(key[: start + 4], value_kind, key[start + 8 : end], end)


def key_like(sample: EntityKey, customer: Customer) -> bytes | None:
    """The customer's key where others are like the `sample`; None where no id of theirs can be."""
    value = _values(customer).get(sample.kind)
    return None if value is None else sample.prefix + struct.pack("<I", len(value)) + value


class OnlineStore:
    """Whatever CHURN_ONLINE_STORE is. `contracts` give a Redis store's fields their names back, where they can."""

    name = "online store"

    def __init__(self, settings: Settings, customer: Customer, contracts: Sequence[Contract]) -> None:
        self._settings, self._customer = settings, customer
        self._store = _opened(settings.online_store, contracts)

    def find(self) -> Iterator[Held]:
        """Views, or a Redis store's projects, that hold the customer."""
        with self._told():
            found = [Held(self.name, where, 1) for where, _ in self._store.held(self._customer)]
        yield from found

    def erase(self) -> Iterator[Held]:
        """Deletes the customer from each; no materialisation writes to a SQLite file meanwhile."""
        with online_lock(self._settings), self._told():
            gone = [Held(self.name, where, 1) for where in self._store.erase(self._customer)]
        yield from gone

    def rows(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """The values by feature, and when they were true."""
        with self._told():
            found = list(self._store.held(self._customer))
        yield from ((where, [values]) for where, values in found)

    def _told(self) -> _Told:
        return _Told(self._settings.online_store)


class _Told:
    """Turns what drivers raise into a UserError that quotes nothing of what was asked."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None:
            return
        import psycopg2
        import redis

        if isinstance(error, sqlite3.Error | psycopg2.Error | redis.RedisError):
            problem = f"the online store does not answer ({type(error).__name__})"
            raise UserError(problem, where=redacted(self._address), remedy="check CHURN_ONLINE_STORE") from None


class _Tables:
    """A database with a table for each view, a row for each feature of an entity."""

    mark = "%s"

    def held(self, customer: Customer) -> Iterator[tuple[str, dict[str, Any]]]:
        """The customer's values by table."""
        with closing(self.connect()) as connection:
            for table, key in self._keys(connection, customer):
                statement = f"SELECT feature_name, value, event_ts FROM {table} WHERE entity_key = {self.mark}"
                rows = self.run(connection, statement, key)
                if rows:
                    yield table, _described(((name, value) for name, value, _ in rows), self.seen(rows[0][2]))

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
            key = key_like(like, customer) if like else None
            if key is not None:
                yield table, key

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


class _Sqlite(_Tables):
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


class _Postgres(_Tables):
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


class _Redis:
    """A hash for each entity and project, in which its views have their fields."""

    def __init__(self, address: str, contracts: Sequence[Contract]) -> None:
        self._address, self._contracts = address, contracts

    def held(self, customer: Customer) -> Iterator[tuple[str, dict[str, Any]]]:
        """The customer's values by project and view."""
        client = self._client()
        for key, project in self._keys(client, customer):
            fields = client.hgetall(key)
            for view in sorted(name[4:].decode() for name in fields if name.startswith(b"_ts:")):
                found = self._named(view, fields)
                yield f"{project}/{view}", _described(found, _seconds(fields[b"_ts:" + view.encode()]))

    def erase(self, customer: Customer) -> list[str]:
        """The projects in which there was something to delete."""
        client = self._client()
        return [project for key, project in list(self._keys(client, customer)) if client.delete(key)]

    def _keys(self, client: Any, customer: Customer) -> Iterator[tuple[bytes, str]]:
        """Keys that name the customer, whatever their project and join key: all that there are, are looked at."""
        seen = set[bytes]()
        for kind, value in _values(customer).items():
            pattern = b"*" + _escaped(struct.pack("<II", kind, len(value)) + value) + b"*"
            for key in client.scan_iter(match=pattern, count=_SCANNED, _type="hash"):
                found = parsed(key)
                if found and (found.kind, found.value) == (kind, value) and key not in seen:
                    seen.add(key)
                    yield key, key[found.end :].decode(errors="replace")

    def _named(self, view: str, fields: dict[bytes, bytes]) -> list[tuple[str, bytes]]:
        import mmh3

        found = []
        for contract in self._contracts:
            if names.raw_view(contract) == view:
                for column in map(names.field, contract.raw):
                    field = struct.pack("<I", mmh3.hash(f"{view}:{column}", signed=False))
                    found.append((column, fields.get(field, b"")))
                break
        return found or [(name.hex(), value) for name, value in fields.items() if not name.startswith(b"_ts:")]

    def _client(self) -> Any:
        import redis

        return redis.Redis.from_url(self._address, socket_timeout=60, socket_connect_timeout=10)


def _opened(address: str, contracts: Sequence[Contract]) -> _Tables | _Redis:
    if sqlite_file(address) is not None:
        return _Sqlite(address)
    return _Redis(address, contracts) if address.startswith("redis") else _Postgres(address)


def _values(customer: Customer) -> dict[int, bytes]:
    """The customer's id by type of key, as Feast writes it."""
    found = {_STRING: customer.text.encode()}
    return found if customer.integer is None else found | {_INT64: struct.pack("<q", customer.integer)}


def _described(values: Iterable[tuple[str, Any]], seen: Any) -> dict[str, Any]:
    known = isinstance(seen, int | float) and not math.isnan(seen)
    at = datetime.fromtimestamp(seen, UTC) if known else seen
    return {"event_timestamp": at, **{name: _plain(bytes(value)) for name, value in values}}


def _plain(raw: bytes) -> float | str | None:
    """The value in one of Feast's protobufs; None for null, and for what no contract of ours has."""
    match raw[:1]:
        case b"\x12":
            return raw[_varint(raw, 1)[1] :].decode(errors="replace")
        case b"\x20":
            return _varint(raw, 1)[0]
        case b"\x29":
            value: float = struct.unpack_from("<d", raw, 1)[0]
            return value
    return None


def _varint(raw: bytes, start: int) -> tuple[int, int]:
    """The signed 64-bit integer that begins at `start`, and where it ends."""
    value, position = 0, start
    while position < len(raw):
        value |= (raw[position] & 0x7F) << (7 * (position - start))
        position += 1
        if raw[position - 1] < 0x80:
            break
    return (value & (2**64 - 1) ^ 2**63) - 2**63, position


def _seconds(raw: bytes) -> float:
    from google.protobuf.timestamp_pb2 import Timestamp

    return float(Timestamp.FromString(raw).ToMicroseconds()) / 1e6


def _escaped(pattern: bytes) -> bytes:
    return re.sub(rb"([*?\[\]\\^])", rb"\\\1", pattern)
