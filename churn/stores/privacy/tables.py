"""Tables in files: which column of one names customers, which rows are the customer's, and the file without them."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from churn.domain import parsing
from churn.domain.contract import Contract
from churn.stores.privacy.customer import Customer

T = TypeVar("T")

BATCH_ROWS = 2**16

_MAGIC = b"PAR1"
_TIME, _ROW_HASH = "event_timestamp", "entity_id"
"""How steps call the second column of what they write, and the first where the table has no key."""

_SCORED, _SCORES = "id", {"probability", "decision", "risk"}
"""How a batch calls the first column of its scores, and some of those behind it: they need not have a date."""

_LOGGED, _LOG = "customer", {"record", "row", "predicted_at"}
"""How the prediction log calls its column of pseudonyms, and some of those beside it, where it lies in files."""


class Form(Enum):
    """Who named the columns: a step by the contract, key and event timestamp first; or the table's source."""

    OWN = "own"
    SOURCE = "source"


class Lack(Enum):
    """Why no row of a file can be found by a customer's id."""

    NO_KEY = "a table without a key: a row is its own name there, and no id leads to it"
    UNKNOWN = "no known contract reads it: name one by --contract"
    BROKEN = "cannot be read: half written, or damaged"


@dataclass(frozen=True)
class Finder:
    """Finds the customer's rows: `columns` are those it looks at, `among` tells which rows (bool) of a batch."""

    columns: tuple[str, ...]
    among: Callable[[pa.RecordBatch], pa.Array]


@dataclass(frozen=True)
class Search:
    """The customer, and the contracts by which tables can be understood."""

    customer: Customer
    contracts: Sequence[Contract]

    def finder(self, path: Path, form: Form) -> Finder | Lack:
        """How to find the customer in a file."""
        try:
            names = columns(path)
        except (pa.ArrowException, OSError, UnicodeError, csv.Error):
            return Lack.BROKEN
        is_own = names[1:2] == [_TIME] or (names[:1] == [_SCORED] and set(names) >= _SCORES)
        if is_own and form is Form.OWN:
            return self._own(names[0])
        if set(names) >= {_LOGGED, *_LOG}:
            return self.logged()
        readers = [contract for contract in self.contracts if _sources(contract) <= set(names)]
        keyed = {contract.source_of(contract.key.column): contract for contract in readers if contract.key}
        if keyed:
            return Finder(tuple(keyed), lambda batch: _any(self._in_source(keyed, batch)))
        if readers:
            return Lack.NO_KEY
        return self._own(names[0]) if is_own else Lack.UNKNOWN  # a copy lies under another name

    def logged(self) -> Finder:
        """How to find the customer in archived predictions."""
        return Finder((_LOGGED,), lambda batch: self.customer.among_pseudonyms(batch.column(_LOGGED)))

    def _own(self, key: str) -> Finder | Lack:
        if key == _ROW_HASH and not any(one.key and one.key.column == key for one in self.contracts):
            return Lack.NO_KEY
        return Finder((key,), lambda batch: self.customer.among(parsing.values_of(batch, key)))

    def _in_source(self, keyed: dict[str, Contract], batch: pa.RecordBatch) -> Iterator[pa.Array]:
        for column, contract in keyed.items():
            yield self.customer.among_source(contract, parsing.values_of(batch, column))


def is_parquet(path: Path) -> bool:
    """Whether a file begins as Parquet does."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def columns(path: Path) -> list[str]:
    """The names of a file's columns, in order. Raises whatever reading it does."""
    if not is_parquet(path):
        with path.open(encoding="utf-8-sig", newline="") as text:
            return [name.strip() for name in next(csv.reader(text), [])]
    names: list[str] = pq.read_schema(path).names
    return names


def count(path: Path, finder: Finder) -> int:
    """How many rows of the file are the customer's."""
    return sum(pc.sum(finder.among(batch)).as_py() or 0 for batch in _batches(path, list(finder.columns)))


def rows(path: Path, finder: Finder) -> list[dict[str, Any]]:
    """The customer's rows."""
    found = (batch.filter(finder.among(batch)).to_pylist() for batch in _batches(path))
    return list(itertools.chain.from_iterable(found))


def rewrite(path: Path, target: Path, finder: Finder) -> int:
    """Writes the file without the customer's rows to `target`; gives how many those are. Memory holds one batch."""
    if not is_parquet(path):
        return _rewrite_csv(path, target, finder)
    gone = 0
    with pq.ParquetFile(path) as file, pq.ParquetWriter(target, file.schema_arrow, compression="zstd") as writer:
        for batch in file.iter_batches(BATCH_ROWS):
            kept = batch.filter(pc.invert(finder.among(batch)))
            gone += batch.num_rows - kept.num_rows
            if kept.num_rows:
                writer.write_batch(kept)
    return gone


def _rewrite_csv(path: Path, target: Path, finder: Finder) -> int:
    gone = 0
    with path.open(encoding="utf-8-sig", newline="") as text, target.open("w", encoding="utf-8", newline="") as out:
        reader, writer = csv.reader(text), csv.writer(out, lineterminator="\n")
        header = next(reader)
        writer.writerow(header)
        for lines in _chunks(reader):
            among = finder.among(_as_batch(header, lines)).to_pylist()
            writer.writerows(line for line, found in zip(lines, among, strict=True) if not found)
            gone += sum(among)
    return gone


def _batches(path: Path, only: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    if is_parquet(path):
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(BATCH_ROWS, columns=only)
        return
    with path.open(encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text)
        header = next(reader, [])
        for lines in _chunks(reader):
            yield _as_batch(header, lines)


def _as_batch(header: list[str], lines: list[list[str]]) -> pa.RecordBatch:
    cells = zip(*([*line, *[""] * len(header)][: len(header)] for line in lines), strict=True)
    return pa.RecordBatch.from_arrays(
        [pa.array(column, pa.string()) for column in cells], [one.strip() for one in header]
    )


def _chunks(lines: Iterator[T]) -> Iterator[list[T]]:
    while chunk := list(itertools.islice(lines, BATCH_ROWS)):
        yield chunk


def _sources(contract: Contract) -> set[str]:
    """The columns by which a table is known to be the contract's; to be scored, none needs an outcome."""
    special = (contract.key, contract.event_timestamp)
    return {contract.source_of(name) for name in (*(part.column for part in special if part), *contract.columns)}


def _any(masks: Iterator[pa.Array]) -> pa.Array:
    found = next(masks)
    for mask in masks:
        found = pc.or_(found, mask)
    return found
