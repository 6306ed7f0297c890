"""Values between Arrow, Feast's protobufs and Python: types kept, nulls null, never through floats."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from churn.domain.contract import Contract
from churn.domain.errors import UserError
from churn.domain.parsing import EXACT
from feature_repo import names
from feature_repo.quiet import EntityKey, Value

Plain = int | float | str | None
"""A raw value: an integer, a number, a category, or nothing."""

Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
"""What Feast's online stores write: entity key, values by feature, event timestamp, time of creation (not kept)."""

_FIELDS = {pa.int64(): "int64_val", pa.float64(): "double_val", pa.string(): "string_val"}
_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)


def entity_key(contract: Contract, value: int | str) -> EntityKey:
    """The protobuf of one entity key."""
    return EntityKey(join_keys=[names.key(contract)], entity_values=[_protobuf(names.key_type(contract), value)])


def key_value(contract: Contract, given: int | str) -> int | str:
    """An id as people or requests give it, as the contract types it. Raises UserError for text where integers are."""
    if not (contract.key and contract.key.type == "integer"):
        return str(given)
    if isinstance(given, str) and not _INTEGER.fullmatch(given):
        remedy = "the ids of this model are integers"
        raise UserError(f"'{given}' is not an integer", where=names.key(contract), remedy=remedy)
    if not -(2**63) <= int(given) < 2**63:
        raise UserError(f"{given} is beyond 64 bits", where=names.key(contract))
    return int(given)


def rows(contract: Contract, table: pa.Table) -> list[Row]:
    """The rows of a table of raw features (by Feast's names), key and event timestamp, as online stores take them."""
    fields = [names.field(column) for column in contract.raw]
    keys = [entity_key(contract, value) for value in table[names.key(contract)].to_pylist()]
    stamps = table[names.EVENT_TIMESTAMP].to_pylist()
    columns = zip(*(_protobufs(table[name]) for name in fields), strict=True)
    features = [dict(zip(fields, row, strict=True)) for row in columns]
    return [(key, row, stamp, None) for key, row, stamp in zip(keys, features, stamps, strict=True)]


def plain(value: Value) -> Plain:
    """The Python value of a protobuf; unset and NaN are None."""
    kind = value.WhichOneof("val")
    if kind is None or kind == "null_val":
        return None
    held: Plain = getattr(value, kind)
    return None if isinstance(held, float) and math.isnan(held) else held


def refuse_inexact(table: pa.Table, columns: Sequence[str]) -> None:
    """Raises UserError for an integer that float64, and so the model's graph, does not hold exactly."""
    for name in columns:
        if pa.types.is_integer(table.schema.field(name).type):
            span = pc.min_max(table[name]).as_py()
            if span["min"] is not None and (span["max"] > EXACT or span["min"] < -EXACT):
                remedy = "scale it, or make it a category of the contract"
                raise UserError(f"holds integers beyond {EXACT}", where=f"column {name}", remedy=remedy)


def _protobufs(column: pa.ChunkedArray) -> Iterator[Value]:
    for value in column.to_pylist():
        yield Value() if value is None else _protobuf(column.type, value)


def _protobuf(kind: pa.DataType, value: float | str) -> Value:
    message = Value()
    setattr(message, _FIELDS[kind], value)
    return message
