"""Values between Arrow, Feast's protobufs and Python: types kept, nulls null, never through floats."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from churn.domain.contract import Contract
from churn.domain.errors import UserError
from churn.domain.parsing import EXACT
from feature_repo import names
from feature_repo.quiet import EntityKey_pb2, Value_pb2

Value = int | float | str | None
"""A raw value: an integer, a number, a category, or nothing."""

Row = tuple[Any, dict[str, Any], datetime, None]
"""What Feast's online stores write: entity key, values by feature, event timestamp, time of creation (none)."""

_FIELDS = {pa.int64(): "int64_val", pa.float64(): "double_val", pa.string(): "string_val"}
_INTEGER = re.compile(r"-?\d{1,19}")


def entity_key(contract: Contract, value: int | str) -> Any:
    """The protobuf of one entity key."""
    kind = _FIELDS[names.key_type(contract)]
    return EntityKey_pb2.EntityKey(join_keys=[names.key(contract)], entity_values=[Value_pb2.Value(**{kind: value})])


def key_value(contract: Contract, given: int | str) -> int | str:
    """An id as people or requests give it, as the contract types it. Raises UserError for text where integers are."""
    if not (contract.key and contract.key.type == "integer"):
        return str(given)
    if isinstance(given, str) and not _INTEGER.fullmatch(given):
        raise UserError(f"'{given}' is not an integer", where=names.key(contract), remedy="ids of this model are integers")
    if not -(2**63) <= int(given) < 2**63:
        raise UserError(f"{given} is no 64-bit integer", where=names.key(contract))
    return int(given)


def rows(contract: Contract, table: pa.Table) -> list[Row]:
    """The rows of a table of raw features (Feast's names), key and event timestamp, as online stores take them."""
    fields = [names.field(column) for column in contract.raw]
    columns = [list(_protobufs(table[name])) for name in fields]
    keys = [entity_key(contract, value) for value in table[names.key(contract)].to_pylist()]
    stamps = table[names.EVENT_TIMESTAMP].to_pylist()
    values = (dict(zip(fields, row, strict=True)) for row in zip(*columns, strict=True))
    return [(key, row, stamp, None) for key, row, stamp in zip(keys, values, stamps, strict=True)]


def python(value: Any) -> Value:
    """The Python value of a protobuf; unset and NaN are None."""
    kind = value.WhichOneof("val")
    plain: Value = getattr(value, kind) if kind and kind != "null_val" else None
    return None if isinstance(plain, float) and math.isnan(plain) else plain


def refuse_inexact(table: pa.Table, columns: Sequence[str]) -> None:
    """Raises UserError for an integer that float64, and so the model's graph, does not hold exactly."""
    for name in columns:
        if pa.types.is_integer(table.schema.field(name).type):
            span = pc.min_max(table[name]).as_py()
            if span["min"] is not None and (span["max"] > EXACT or span["min"] < -EXACT):
                raise UserError(
                    f"holds integers beyond {EXACT}, which a model cannot tell apart",
                    where=f"column {name}",
                    remedy="scale it, or give it to the contract as a category",
                )


def _protobufs(column: pa.ChunkedArray) -> Iterator[Any]:
    kind = _FIELDS[column.type]
    for value in column.to_pylist():
        yield Value_pb2.Value() if value is None else Value_pb2.Value(**{kind: value})
