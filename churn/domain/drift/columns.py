"""The columns of a table as numbers that two samples can be compared by."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn.domain.contract import Contract

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

MISSING = -np.inf
"""A missing number: below all others, so that a change in how many are missing counts like any other."""


def matrix(contract: Contract, table: pa.Table) -> Matrix:
    """The contract's columns (n, k): numbers with `MISSING`, categories as codes.

    The code behind the last category stands for missing, the one behind that for what the contract does not list. Where
    the contract says what a missing value stands for (`cleaning.constant`) it is that: a bundle's reference has it so,
    and a log has what was sent."""
    found = np.empty((table.num_rows, len(contract.raw)), np.float64)
    for position, name in enumerate(contract.raw):
        labels, values = contract.labels(name), _filled(table[name], contract.columns[name].cleaning.constant)
        found[:, position] = numbers(values) if labels is None else codes(values, labels)
    return found


def numbers(values: pa.ChunkedArray) -> Vector:
    """Numbers (n,), `MISSING` for null and NaN."""
    known = np.array(values.cast(pa.float64()).to_numpy(), np.float64)
    return np.where(np.isnan(known), MISSING, known)


def codes(values: pa.ChunkedArray, labels: tuple[str, ...]) -> Vector:
    """Codes (n,) of labels."""
    missing, unknown = len(labels), len(labels) + 1
    texts = values.cast(pa.string())
    found = pc.fill_null(pc.index_in(texts, pa.array(labels, pa.string())), unknown)
    return np.asarray(pc.if_else(pc.is_valid(texts), found, missing).to_numpy(), np.float64)


def _filled(values: pa.ChunkedArray, constant: float | str | None) -> pa.ChunkedArray:
    if constant is None:
        return values
    return pc.fill_null(values, pa.scalar(constant).cast(values.type, safe=False))
