"""The ingest step: a table becomes an immutable snapshot, a contract's name becomes the contract."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path

import msgspec
import pyarrow as pa

from churn.domain import parsing
from churn.domain.contract import Contract
from churn.domain.errors import UserError
from churn.stores import files, objects
from churn.stores.addresses import redacted
from churn.stores.digests import sha256_of_file
from churn.stores.settings import Settings
from components.dates import stamp
from components.ingest import snapshot, sources
from feature_repo import contracts


class Ingested(msgspec.Struct, frozen=True):
    """`address`, `digest` (SHA-256) and `rows` of the snapshot; `source` is where it came from, without a password,
    and `as_of` (ISO 8601, UTC) what dates rows that have no event timestamp. Neither is part of the digest."""

    contract: Contract
    address: str
    digest: str
    rows: int
    source: str
    as_of: str


def ingest(settings: Settings, data: str, contract: str, model: str = "", as_of: str = "") -> Ingested:
    """Stores the table at the address `data` (see `sources`) under its digest; the same rows again are no second copy.

    `contract` is a name or an address; `model` overrides its name; an empty `as_of` means now.
    Raises UserError for an address, a contract or a date that is none, a table without rows, or without a column that
    the contract reads. Memory does not grow with the table."""
    dated = as_of_time(as_of)
    terms = contracts.resolve(settings, contract, model)
    settings.prepare()
    with files.staged(settings.home / ".staging") as temporary:
        rows = copy(settings, data, terms, temporary)
        digest = sha256_of_file(temporary)
        address = objects.open_store(settings).put_file(temporary, f"snapshots/{digest}.parquet")
    return Ingested(terms, address, digest, rows, redacted(data), dated)


def copy(settings: Settings, data: str, contract: Contract, path: Path) -> int:
    """Writes the table at the address `data` to a Parquet file as its snapshot will be; gives the number of its rows.

    Raises UserError for what `sources` refuses, for a column that the contract reads and the table lacks, and for a
    table without rows."""
    source = redacted(data)
    with closing(sources.read(settings, data)) as batches:
        rows = snapshot.write(checked(batches, contract, source), path)
    if not rows:
        raise UserError("has no rows", where=source, remedy="export the table again")
    return rows


def as_of_time(text: str) -> str:
    """The date or time in `text` as ISO 8601 in UTC, whole seconds; now when it is empty.

    Raises UserError for anything else, and for what lies before 1971."""
    return stamp(text).replace(microsecond=0).isoformat()


def checked(batches: Iterator[pa.RecordBatch], contract: Contract, source: str) -> Iterator[pa.RecordBatch]:
    """The same batches, once the first shows every column that the contract reads. Raises UserError otherwise."""
    first = next(batches)
    parsing.require_columns(contract, first.schema.names, source)
    return chain([first], batches)
