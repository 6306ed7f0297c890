"""What must hold of a parsed value, by column: the one list behind validation and behind request checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn.domain.contract import Column, Contract


@dataclass(frozen=True)
class Rule:
    """`broken` maps a parsed column to the rows (bool) that break the rule; `problem` completes "the value ..."."""

    name: str
    problem: str
    broken: Callable[[pa.Array], pa.Array]


def of(contract: Contract, name: str) -> list[Rule]:
    """The rules of one column of the parsed table (by the contract's name)."""
    if name in contract.columns:
        return _column(contract.columns[name])
    if (contract.key and name == contract.key.column) or name == "event_timestamp":
        return [_PRESENT]
    return []


LARGEST = float(np.finfo(np.float32).max)
"""The largest number that the design matrix, and so the model, holds: float32."""

_HELD = Rule(
    "held",
    f"is more than {LARGEST:.4g} away from 0",
    lambda values: _true(pc.greater(pc.abs(values), pa.scalar(LARGEST))),
)
_PRESENT = Rule("not_null", "is missing", pc.is_null)


def _column(column: Column) -> list[Rule]:
    found = [] if column.nullable or column.cleaning.constant is not None else [_PRESENT]
    if column.categories:
        known = pa.array(column.categories, pa.string())
        found.append(
            Rule("known_category", f"is none of {_listed(column.categories)}", lambda values: _outside(values, known))
        )
    low, high = column.range or (None, None)
    if column.type == "number" and not (low is not None and low >= -LARGEST and high is not None and high <= LARGEST):
        found.append(_HELD)
    if low is not None:
        least = pa.scalar(float(low))
        found.append(Rule("at_least", f"is below {low:g}", lambda values: _true(pc.less(values, least))))
    if high is not None:
        most = pa.scalar(float(high))
        found.append(Rule("at_most", f"is above {high:g}", lambda values: _true(pc.greater(values, most))))
    return found


def _outside(values: pa.Array, known: pa.Array) -> pa.Array:
    return pc.and_(pc.is_valid(values), pc.invert(pc.is_in(values, known)))


def _true(mask: pa.Array) -> pa.Array:
    return pc.fill_null(mask, False)


def _listed(categories: tuple[str, ...]) -> str:
    shown = ", ".join(f"'{category}'" for category in categories[:8])
    return f"{shown} and {len(categories) - 8} more" if len(categories) > 8 else shown
