"""What identifies a row of a table without a key: its content."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pyarrow.compute as pc

from churn.domain import parsing
from churn.domain.contract import Contract

_DIGITS = 32
_BETWEEN = "\x1f"
_NULL = "\x00"


def entity_ids(contract: Contract, table: pa.Table) -> pa.Array:
    """For each row of a typed table the first 32 hex digits of SHA-256 over its columns' texts, in their order.

    Neither target nor date take part, so that what is learned about a row later does not change who it is."""
    texts = [parsing.text(table[name].combine_chunks()) for name in contract.raw]
    joined = pc.binary_join_element_wise(*texts, _BETWEEN, null_handling="replace", null_replacement=_NULL)
    return pa.array([hashlib.sha256(text.encode()).hexdigest()[:_DIGITS] for text in joined.to_pylist()], pa.string())
