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

    The code behind the last category stands for missing, the one behind that for what the contract does not list."""
    found = np.empty((table.num_rows, len(contract.raw)), np.float64)
    for position, name in enumerate(contract.raw):
        labels = contract.labels(name)
        found[:, position] = numbers(table[name]) if labels is None else codes(table[name], labels)
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
