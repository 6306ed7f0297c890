"""A PostgreSQL query as a stream of Arrow batches, in memory that does not grow with its result."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from churn.domain.errors import UserError
from churn.stores import addresses
from churn.stores.addresses import redacted

if TYPE_CHECKING:
    from psycopg2.extensions import Column, connection

_TYPES = {
    16: pa.bool_(),
    20: pa.int64(),
    21: pa.int64(),
    23: pa.int64(),
    700: pa.float64(),
    701: pa.float64(),
    1082: pa.date32(),
    1114: pa.timestamp("us"),
    1184: pa.timestamp("us", tz="UTC"),
}
"""PostgreSQL's own types by OID (pg_type.dat); what is neither here nor numeric is taken as text."""

_BYTES = 17
_NUMERIC = 1700
_INT64_DIGITS = 18
_EXACT = 2**53


def stream_query(url: str, query: str, *, timeout_s: float = 600, batch_rows: int = 20_000) -> Iterator[pa.RecordBatch]:
    """The rows of one SELECT, at most `batch_rows` at a time through a server-side cursor, in a read-only transaction.

    The first batch comes also when there are no rows, for its schema. Integers become int64, other numbers float64,
    texts string. Raises UserError, without the password, when the server is not reached, does not know the user,
    refuses the query, or takes longer than `timeout_s` over a step of it."""
    with _reading(url, timeout_s) as database, database.cursor("churn_stream") as cursor:
        cursor.execute(query.strip().rstrip(";"))
        rows = cursor.fetchmany(batch_rows)
        columns = _distinct(cursor.description or ())
        while True:
            yield _batch(columns, rows)
            rows = cursor.fetchmany(batch_rows)
            if not rows:
                return


@contextmanager
def _reading(url: str, timeout_s: float) -> Iterator[connection]:
    import psycopg2

    url = addresses.url("the query's database", url, ("postgresql",))
    where = redacted(url)
    try:
        database = psycopg2.connect(url, connect_timeout=10, application_name="churn")
    except psycopg2.Error as error:
        raise UserError(_reason(error, url), where, "check the address, the user and the password") from None
    try:
        with database.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = on")
            cursor.execute(f"SET statement_timeout = {math.ceil(timeout_s * 1000)}")
        database.commit()
        yield database
    except psycopg2.errors.QueryCanceled:
        problem = f"a step of the query took longer than {timeout_s:g} s"
        raise UserError(problem, where, "simplify it, or raise CHURN_STATEMENT_TIMEOUT") from None
    except psycopg2.Error as error:
        raise UserError(f"the query failed: {_reason(error, url)}", where, "give one SELECT that works") from None
    finally:
        database.close()


def _batch(columns: Sequence[Column], rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
    values = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    arrays = [_array(column, cells) for column, cells in zip(columns, values, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])


def _array(column: Column, cells: Sequence[Any]) -> pa.Array:
    if column.type_code == _NUMERIC:
        return _numbers(column, cells)
    if column.type_code == _BYTES:  # Arrow would take them for text
        raise _odd(column)
    try:
        return pa.array(cells, _TYPES.get(column.type_code, pa.string()))
    except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
        raise _odd(column) from error


def _numbers(column: Column, cells: Sequence[Decimal | None]) -> pa.Array:
    """`numeric(p, 0)` as integers while they fit; others as floats, unless that would change a whole number."""
    if column.scale == 0 and column.precision is not None and column.precision <= _INT64_DIGITS:
        return pa.array([None if cell is None else int(cell) for cell in cells], pa.int64())
    for cell in cells:
        if cell is not None and abs(cell) > _EXACT:
            raise UserError(
                f"{cell} is beyond 2^53 and no float holds it exactly",
                f"column '{column.name}'",
                "cast it to bigint or text",
            )
    return pa.array([None if cell is None else float(cell) for cell in cells], pa.float64())


def _odd(column: Column) -> UserError:
    return UserError(
        "is of a type that no table of customers can hold", f"column '{column.name}'", "cast it to text in the query"
    )


def _distinct(columns: Sequence[Column]) -> Sequence[Column]:
    names = [column.name for column in columns]
    for name in names:
        if names.count(name) > 1:
            raise UserError("stands twice in the query", f"column '{name}'", "name the columns, or give it an alias")
    return columns


def _reason(error: Exception, url: str) -> str:
    """The first line of the driver's message, which may quote the address or parts of it."""
    first = redacted(str(error).strip().split("\n", 1)[0])
    password = urlsplit(url).password or ""
    for secret in filter(None, {password, unquote(password)}):
        first = first.replace(secret, "***")
    return first or type(error).__name__
