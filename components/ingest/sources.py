"""Where tables come from: one address, one stream of Arrow batches.

An address is the path or `s3://bucket/key` of a .csv or .parquet file, or a PostgreSQL query:
`postgresql://user@host/database#customers`, where a SELECT may stand for the table after the `#`, and
`database://#customers` for the one in CHURN_DATABASE, so that no password is part of an address."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from pathlib import Path, PurePosixPath

import pyarrow as pa

from churn.domain.errors import UserError
from churn.stores import objects
from churn.stores.addresses import is_s3, redacted
from churn.stores.settings import Settings
from components.ingest import csv_source, parquet_source

Batches = Iterator[pa.RecordBatch]

_READERS: dict[str, Callable[[Path, str], Batches]] = {
    ".csv": csv_source.read,
    ".parquet": parquet_source.read,
    ".pq": parquet_source.read,
}
_DATABASE = re.compile(r"(?P<url>(?:database|postgres|postgresql)://[^#]*)(?:#(?P<query>.*))?", re.DOTALL)
_TABLE = re.compile(r"\w+(\.\w+)?")


def read(settings: Settings, address: str) -> Generator[pa.RecordBatch]:
    """The rows at an address, in their order, in batches of bounded size; the first one comes even without rows.

    CSV gives text in every column, Parquet and PostgreSQL their types. Close it when not all of it is read.
    Raises UserError naming the address, what is wrong with it or with the table's form, and a remedy."""
    yield from _open(settings, address)


def _open(settings: Settings, address: str) -> Batches:
    if not address.strip():
        raise UserError("no table is named", where="data", remedy="give a .csv or .parquet file")
    database = _DATABASE.fullmatch(address)
    if database:
        return _query(settings, database["url"], database["query"] or "")
    if "://" in address and not is_s3(address):
        remedy = "give a .csv or .parquet file, s3://bucket/key, or postgresql://user@host/database#table"
        raise UserError("is no address of a known kind", where=redacted(address), remedy=remedy)
    reader = _READERS.get(PurePosixPath(address).suffix.lower())
    path = objects.fetch(settings, address) if is_s3(address) and reader else Path(address)
    if not is_s3(address):
        _require_file(path, address)
    if reader is None:
        raise UserError("is neither .csv nor .parquet", where=address, remedy="export the table as one of these")
    return reader(path, address)


def _require_file(path: Path, address: str) -> None:
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError as error:
        raise UserError("there is no such file", where=address, remedy="check the path") from error
    except IsADirectoryError as error:
        raise UserError("is a folder", where=address, remedy="give one .csv or .parquet file in it") from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=address) from error
    if empty:
        raise UserError("is empty", where=address, remedy="export the table again")


def _query(settings: Settings, url: str, query: str) -> Batches:
    from churn.stores.query import stream_query

    if url == "database://":
        url = settings.database
        if not url.startswith("postgresql://"):
            raise UserError("is not PostgreSQL", where="CHURN_DATABASE", remedy="write postgresql://user@host/database")
    if not query.strip():
        raise UserError("names no table", where=redacted(url), remedy="add #customers, or #SELECT ..., to the address")
    url = url.replace("postgres://", "postgresql://", 1)
    return stream_query(url, _select(query.strip()), timeout_s=settings.statement_timeout)


def _select(query: str) -> str:
    """A table is read in the order of its rows' values, so that the same rows make the same snapshot."""
    if not _TABLE.fullmatch(query):
        return query
    name = ".".join(f'"{part}"' for part in query.split("."))
    return f'SELECT * FROM {name} AS "the row" ORDER BY "the row"'  # noqa: S608 - words alone, and quoted
