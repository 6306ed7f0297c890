"""The prediction log as Arrow: features under their names, whatever model they were for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn.domain.errors import UserError
from churn.stores.addresses import redacted, sqlite_file
from churn.stores.prediction_log import schema
from churn.stores.prediction_log.records import Layout, LayoutColumn

BATCH_ROWS = 20_000

FIXED = pa.schema(
    {
        "record": pa.binary(16),
        "row": pa.int32(),
        "predicted_at": pa.timestamp("us", "UTC"),
        "request_id": pa.string(),
        "model": pa.string(),
        "version": pa.int32(),
        "variant": pa.string(),
        "shadow": pa.bool_(),
        "customer": pa.binary(16),
        "probability": pa.float64(),
        "decision": pa.bool_(),
        "threshold": pa.float64(),
        "risk": pa.string(),
        "latency_ms": pa.float32(),
        "layout": pa.string(),
    }
)
"""The columns before `features`, which is a struct: a contract may call a column `version`."""

_Rows = list[tuple[Any, ...]]


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What to read: all by default. From `since` on, before `until` (both with a time zone)."""

    model: str | None = None
    version: int | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    customers: tuple[bytes, ...] | None = None
    """Pseudonyms."""


def read(url: str, query: Query = Query(), rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:  # noqa: B008 - frozen
    """Batches of `FIXED` and a struct `features`, each of one layout and at most `rows` rows; one customer's by time.

    Memory stays flat however much there is. The schemas of batches differ where the layouts do.
    Raises UserError for a database that cannot be read."""
    is_sqlite = sqlite_file(url) is not None
    with (_sqlite if is_sqlite else _postgres)(url) as database:
        layouts: dict[str, Layout] = {}
        for chunk in database.rows(*_statement(query, is_sqlite=is_sqlite), rows):
            for digest, part in _by_layout(chunk):
                if digest not in layouts:
                    layouts |= {layout.digest: layout for layout in database.layouts()}
                if digest not in layouts:
                    raise UserError(f"layout {digest} is not described in prediction_layouts", where=redacted(url))
                yield _batch(part, layouts[digest])


def _statement(query: Query, *, is_sqlite: bool) -> tuple[str, list[Any]]:
    mark = "?" if is_sqlite else "%s"
    conditions, values = ["1 = 1"], list[Any]()

    def add(condition: str, value: Any) -> None:
        conditions.append(condition.format(mark))
        values.append(value)

    for moment, condition in ((query.since, "predicted_at >= {}"), (query.until, "predicted_at < {}")):
        if moment is not None:
            add(condition, moment.timestamp() if is_sqlite else moment)
    if query.model is not None:
        add("model = {}", query.model)
    if query.version is not None:
        add("version = {}", query.version)
    if query.customers is not None:
        conditions.append(f"customer IN ({', '.join([mark] * len(query.customers)) or 'NULL'})")
        values += query.customers
    # PostgreSQL's arrays come as bytes: parsed by NumPy at once, not by the driver number by number.
    names = [name if name != "features" or is_sqlite else "array_send(features)" for name in schema.COLUMNS]
    if not is_sqlite:
        names[0], names[2] = "uuid_send(record)", "(extract(epoch FROM predicted_at) * 1000000)::bigint"
    order = "" if query.customers is None else " ORDER BY predicted_at, record, row"  # months are too much to sort
    return f"SELECT {', '.join(names)} FROM predictions WHERE {' AND '.join(conditions)}{order}", values  # noqa: S608


class _Sqlite:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def rows(self, statement: str, values: list[Any], count: int) -> Iterator[_Rows]:
        cursor = self._connection.execute(statement, values)
        while chunk := cursor.fetchmany(count):
            yield [(*row[:2], round(row[2] * 1e6), *row[3:]) for row in chunk]

    def layouts(self) -> Iterable[Layout]:
        found = self._connection.execute("SELECT digest, model, columns FROM prediction_layouts")
        columns = msgspec.json.Decoder(tuple[LayoutColumn, ...])
        return [Layout(digest, model, columns.decode(text)) for digest, model, text in found]


class _Postgres:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def rows(self, statement: str, values: list[Any], count: int) -> Iterator[_Rows]:
        with self._connection.cursor("prediction_log", withhold=False) as cursor:
            cursor.execute(statement, values)
            while chunk := cursor.fetchmany(count):
                yield [(bytes(row[0]), *row[1:8], row[8] and bytes(row[8]), *row[9:15], row[15]) for row in chunk]

    def layouts(self) -> Iterable[Layout]:
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT digest, model, columns FROM prediction_layouts")
            found = cursor.fetchall()
        return [Layout(digest, model, msgspec.convert(what, tuple[LayoutColumn, ...])) for digest, model, what in found]


@contextmanager
def _sqlite(url: str) -> Iterator[_Sqlite]:
    import sqlite3

    file = sqlite_file(url)
    try:
        with closing(sqlite3.connect(f"{file.as_uri() if file else ''}?mode=ro", uri=True, timeout=5)) as connection:
            yield _Sqlite(connection)
    except sqlite3.Error as error:
        raise UserError(f"{error}", where=str(file), remedy="check CHURN_DATABASE") from None


@contextmanager
def _postgres(url: str) -> Iterator[_Postgres]:
    import psycopg2

    try:
        with closing(psycopg2.connect(url)) as connection:
            connection.set_session(readonly=True)
            yield _Postgres(connection)
    except psycopg2.Error as error:
        reason = redacted(str(error).strip().split("\n", 1)[0])
        raise UserError(reason, where=redacted(url), remedy="check CHURN_DATABASE") from None


def _by_layout(chunk: _Rows) -> Iterator[tuple[str, _Rows]]:
    """Rows of one layout each; within it they keep their order."""
    parts: dict[str, _Rows] = {}
    for row in chunk:
        parts.setdefault(row[14], []).append(row)
    yield from parts.items()


def _batch(rows: _Rows, layout: Layout) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True))
    arrays = [_fixed(field, values) for field, values in zip(FIXED, columns, strict=False)]
    matrix = _matrix(columns[15], len(layout.columns))
    features = [_feature(column, matrix[:, place]) for place, column in enumerate(layout.columns)]
    names = [column.name for column in layout.columns]
    arrays.append(pa.StructArray.from_arrays(features, names))
    return pa.RecordBatch.from_arrays(arrays, [*FIXED.names, "features"])


def _fixed(field: pa.Field, values: tuple[Any, ...]) -> pa.Array:
    if field.name == "risk":
        return pc.take(pa.array(schema.RISKS), pa.array(values, pa.int8()))
    if field.type == pa.bool_():
        return pa.array(map(bool, values), pa.bool_(), size=len(values))
    return pa.array(values, field.type)


def _matrix(values: tuple[Any, ...], width: int) -> npt.NDArray[np.float64]:
    """Features (n, width), of SQLite's little-endian rows or PostgreSQL's binary arrays."""
    joined = b"".join(values)
    if len(joined) == 8 * width * len(values):
        return np.frombuffer(joined, "<f8").reshape(len(values), width)
    element = np.dtype([("size", ">i4"), ("value", ">f8")])
    row = np.dtype([("head", "V20"), ("elements", element, (width,))])
    return np.frombuffer(joined, row)["elements"]["value"].astype(np.float64)


def _feature(column: LayoutColumn, values: npt.NDArray[np.float64]) -> pa.Array:
    numbers = pa.array(values, mask=np.isnan(values))
    if column.labels:
        return pc.take(pa.array(column.labels, pa.string()), numbers.cast(pa.int32()))
    return numbers.cast(pa.int64()) if column.type == "integer" else numbers
