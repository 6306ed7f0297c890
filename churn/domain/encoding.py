"""Between typed tables and the graph's matrices: nulls are NaN, categories are codes in the contract's order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn.domain.contract import Contract
from churn.domain.errors import UserError
from churn.domain.parsing import column_type

Matrix = npt.NDArray[np.float64]


def feature_type(contract: Contract, feature: str) -> pa.DataType:
    """The Arrow type of a feature: columns as the contract types them, formulas float64, flags int64, bins string."""
    if feature in contract.columns:
        return column_type(contract.columns[feature])
    derived = contract.derived[feature]
    return pa.string() if derived.bin else pa.int64() if derived.flag else pa.float64()


def feature_schema(contract: Contract, features: Sequence[str]) -> pa.Schema:
    """The Arrow schema of a table of these features."""
    return pa.schema([(name, feature_type(contract, name)) for name in features])


def encode(contract: Contract, table: pa.Table, features: Sequence[str] | None = None) -> Matrix:
    """The float64 matrix (n, features) of a typed table; all columns of the contract by default.

    Raises UserError for a category that the contract does not list."""
    names = contract.raw if features is None else features
    matrix = np.empty((table.num_rows, len(names)), np.float64)
    for position, name in enumerate(names):
        matrix[:, position] = _numbers(contract, name, table[name])
    return matrix


def decode(contract: Contract, matrix: Matrix, features: Sequence[str]) -> pa.Table:
    """The typed table of a matrix (n, features): NaN becomes null, codes their labels, integers int64 again."""
    arrays = [_typed(contract, name, matrix[:, position]) for position, name in enumerate(features)]
    return pa.table(arrays, schema=feature_schema(contract, features))


def _numbers(contract: Contract, name: str, values: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    labels = contract.labels(name)
    if labels is None:
        return np.asarray(values.cast(pa.float64()).to_numpy())
    codes = pc.index_in(values.cast(pa.string()), pa.array(labels, pa.string()))
    unknown = pc.and_(pc.is_valid(values), pc.is_null(codes))
    if pc.any(unknown).as_py():
        value = values.filter(unknown)[0].as_py()
        raise UserError(f"unknown category '{value}'", where=f"column {name}", remedy=f"known: {', '.join(labels)}")
    return np.asarray(codes.cast(pa.float64()).to_numpy())


def _typed(contract: Contract, name: str, values: npt.NDArray[np.float64]) -> pa.Array:
    numbers = pa.array(values, mask=np.isnan(values))
    labels = contract.labels(name)
    if labels is not None:
        return pc.take(pa.array(labels, pa.string()), numbers.cast(pa.int32()))
    return numbers.cast(feature_type(contract, name))
