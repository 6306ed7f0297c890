"""The table of a batch as an immutable snapshot: what was asked for cannot change under the run."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime
from itertools import chain
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from churn.domain import parsing
from churn.domain.contract import Contract
from churn.domain.errors import UserError
from churn.stores import objects
from churn.stores.addresses import is_s3, redacted
from churn.stores.settings import Settings
from components.ingest import snapshot, sources

LARGEST_GROUP = 2**20
"""Rows of a Parquet file's row groups up to which it is taken as it is; others are cut anew."""


def copy(settings: Settings, data: str, contract: Contract, path: Path) -> int:
    """Writes the table at the address `data` (see `ingest.sources`) to a Parquet file; gives the number of its rows.

    A Parquet file is copied byte by byte where its row groups are small enough to be read in pieces; the outcome may be
    missing. Raises UserError for an address that is none, a table without rows, or without a column that is scored."""
    source = redacted(data)
    with closing(sources.read(settings, data)) as batches:
        first = next(batches)
        parsing.require_columns(contract, first.schema.names, source, labelled=False)
        file = _parquet(settings, data)
        if file is not None and _is_cut(file):
            shutil.copyfile(file, path)
            rows = pq.read_metadata(path).num_rows
        else:
            rows = snapshot.write(chain([first], batches), path)
    return _some(rows, source, "export the table again")


def copy_latest(settings: Settings, contract: Contract, as_of: datetime, path: Path) -> int:
    """Writes each customer's latest row in the offline store at `as_of`, under the source's names.

    Raises UserError when the store knows nobody, or nothing of the contract, and for a contract without a key."""
    if contract.key is None:
        problem = "names no key, so that the store knows rows and no customers"
        raise UserError(problem, f"contract {contract.name}", "give the table with --data")
    rows = snapshot.write(_named_as_the_source(contract, _latest(settings, contract, as_of)), path)
    where = f"offline store at {as_of:%Y-%m-%d %H:%M}"
    remedy = f"a later --as-of; rows older than {contract.ttl_days} days (ttl_days) do not count"
    return _some(rows, where, remedy)


def _latest(settings: Settings, contract: Contract, as_of: datetime) -> Iterator[pa.Table]:
    from feature_repo.latest import latest

    return latest(settings, contract, as_of)


def _named_as_the_source(contract: Contract, tables: Iterable[pa.Table]) -> Iterator[pa.RecordBatch]:
    time = contract.event_timestamp
    for table in tables:
        named = table.rename_columns(
            [
                contract.source_of(time.column if time and name == "event_timestamp" else name)
                if name != "event_timestamp" or time
                else name
                for name in table.column_names
            ]
        )
        yield from named.to_batches()


def _parquet(settings: Settings, data: str) -> Path | None:
    if PurePosixPath(data).suffix.lower() not in {".parquet", ".pq"} or (("://" in data) and not is_s3(data)):
        return None
    return objects.fetch(settings, data) if is_s3(data) else Path(data)


def _is_cut(file: Path) -> bool:
    found = pq.read_metadata(file)
    return all(found.row_group(number).num_rows <= LARGEST_GROUP for number in range(found.num_row_groups))


def _some(rows: int, where: str, remedy: str) -> int:
    if not rows:
        raise UserError("has no rows", where=where, remedy=remedy)
    return rows
