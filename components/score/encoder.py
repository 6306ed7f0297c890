"""From a table's rows to the graph's columns, as fast as they come; what is not plainly fine is only marked.

A column of numbers is compared with its bounds as a whole. Any other is taken by its distinct values: each of them goes
through the parser of the training data once, and rows hold codes (Parquet's own dictionaries, where it has them)."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn.domain import encoding, parsing
from churn.domain.contract import Column, Contract

Matrix = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_REMEMBERED = 256
"""Distinct values of a column up to which what they mean is kept for the next rows."""


@dataclass(frozen=True)
class Meaning:
    """The codes or numbers (d,) of a column's distinct values, and which of them the contract refuses."""

    values: Matrix
    refused: Flags


class Encoder:
    """Encodes under one contract. Threads may share one."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._known: dict[tuple[str, str], tuple[pa.Array, Meaning]] = {}

    def encode(self, table: pa.Table) -> tuple[Matrix, Flags]:
        """Columns (n, k) of a table with the source's names, and the rows (n,) whose values are not plainly fine."""
        columns = np.empty((table.num_rows, len(self._contract.raw)), np.float64)
        doubtful = np.zeros(table.num_rows, np.bool_)
        for place, (name, column) in enumerate(self._contract.columns.items()):
            values = _whole(table[self._contract.source_of(name)])
            if column.type != "category" and _is_number(values.type):
                columns[:, place] = numbers = _numbers(values)
                doubtful |= _outside(column, numbers)
            else:
                columns[:, place] = self._by_meaning(name, values, doubtful)
        return columns, doubtful

    def _by_meaning(self, name: str, values: pa.Array, doubtful: Flags) -> Matrix:
        if not pa.types.is_dictionary(values.type):
            values = pc.dictionary_encode(values)
        meaning = self._meaning(name, values.dictionary)
        places = values.indices
        if not places.null_count:
            codes = places.to_numpy()
            if meaning.refused.any():
                doubtful |= meaning.refused[codes]
            found: Matrix = meaning.values.take(codes)
            return found
        null = len(meaning.values)  # one place more, for rows without a value
        codes = pc.fill_null(places.cast(pa.int64()), null).to_numpy()
        doubtful |= np.append(meaning.refused, not _may_be_null(self._contract.columns[name])).take(codes)
        return np.asarray(np.append(meaning.values, np.nan).take(codes), np.float64)

    def _meaning(self, name: str, distinct: pa.Array) -> Meaning:
        key = (name, str(distinct.type))
        known = self._known.get(key)
        if known and known[0].equals(distinct):
            return known[1]
        meaning = _parsed(self._contract, name, distinct)
        if len(distinct) <= _REMEMBERED:
            self._known[key] = (distinct, meaning)
        return meaning


def alone(contract: Contract, *columns: str) -> Contract:
    """The contract of some of its columns and nothing else: no key, no time, nothing derived."""
    some = {name: contract.columns[name] for name in columns}
    return msgspec.structs.replace(contract, columns=some, key=None, event_timestamp=None, derived={})


def _parsed(contract: Contract, name: str, distinct: pa.Array) -> Meaning:
    terms = alone(contract, name)
    parsed = parsing.parse(terms, pa.table({terms.source_of(name): distinct}))
    refused = np.zeros(len(distinct), np.bool_)
    refused[parsing.check(terms, parsed)["row"].to_numpy()] = True
    kept = parsed.table[name]
    if refused.any():
        kept = pc.if_else(pa.array(refused), pa.scalar(None, kept.type), kept)
    return Meaning(encoding.encode(terms, pa.table({name: kept})).reshape(-1), refused)


def _whole(values: pa.ChunkedArray) -> pa.Array:
    if values.num_chunks == 1:
        return values.chunk(0)
    joined = values.unify_dictionaries().combine_chunks()
    return pa.concat_arrays(joined.chunks) if isinstance(joined, pa.ChunkedArray) else joined


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or kind in (pa.float32(), pa.float64()))


def _numbers(values: pa.Array) -> Matrix:
    """float64 with NaN for null. Integers beyond 2^53 lose their last digits, and are doubtful for their size."""
    if values.null_count and pa.types.is_integer(values.type):
        values = values.cast(pa.float64(), safe=False)
    return np.asarray(values.to_numpy(zero_copy_only=False), np.float64)


def _outside(column: Column, numbers: Matrix) -> Flags:
    """Which numbers are not plainly the column's."""
    low, high = column.range or (None, None)
    limit = float(parsing.EXACT) - 1 if column.type == "integer" else float(np.finfo(np.float64).max)
    least = -limit if low is None else max(float(low), -limit)
    most = limit if high is None else min(float(high), limit)
    with np.errstate(invalid="ignore"):
        fine = (numbers >= least) & (numbers <= most)
        if column.type == "integer":
            fine &= np.floor(numbers) == numbers
    if _may_be_null(column):
        fine |= np.isnan(numbers)
    return ~fine


def _may_be_null(column: Column) -> bool:
    return column.nullable or column.cleaning.constant is not None
