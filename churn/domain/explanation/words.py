"""Contributions as people are told of them."""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from churn.domain.contract import Contract
from churn.domain.explanation.contributions import Contributions

UNKNOWN = "not known"


class Reason(msgspec.Struct, frozen=True):
    """What one column adds to the log-odds, with the column's value and the whole in words."""

    column: str
    value: str
    contribution: float
    direction: Literal["raises", "lowers"]
    text: str


def reasons(
    contract: Contract, columns: npt.NDArray[np.float64], contributions: Contributions, top: int
) -> list[list[Reason]]:
    """For each row of `columns` (n, k) at most `top` reasons, the strongest first; what adds nothing is none."""
    names = contract.raw
    order = np.argsort(-np.abs(contributions.values), axis=1, kind="stable")[:, :top]
    found = []
    for places, values, added in zip(order.tolist(), columns.tolist(), contributions.values.tolist(), strict=True):
        found.append([_reason(contract, names[i], values[i], added[i]) for i in places if added[i]])
    return found


def strongest(contract: Contract, contributions: Contributions) -> list[str | None]:
    """For each row the column that raises the risk most; None where none raises it."""
    if not contributions.values.size:
        return [None] * len(contributions.values)
    places, most = contributions.values.argmax(axis=1), contributions.values.max(axis=1)
    return [contract.raw[i] if raises else None for i, raises in zip(places.tolist(), (most > 0).tolist(), strict=True)]


def value_in_words(contract: Contract, column: str, value: float) -> str:
    """A column's value as people read it: the category's name, or the number with its unit."""
    if math.isnan(value):
        return UNKNOWN
    what = contract.columns[column]
    if what.categories:
        return what.categories[int(value)]
    return f"{_number(value)} {what.unit}".rstrip()


def _reason(contract: Contract, column: str, value: float, contribution: float) -> Reason:
    direction: Literal["raises", "lowers"] = "raises" if contribution > 0 else "lowers"
    words = value_in_words(contract, column, value)
    return Reason(column, words, contribution, direction, f"{contract.label(column)} is {words}: {direction} the risk")


def _number(value: float) -> str:
    """Whole numbers whole, others with two decimals, or three digits where these say little; thousands set apart."""
    size = abs(value)
    if size >= 1e15 or 0 < size < 1e-4:
        return f"{value:.3g}"
    if size >= 1 or not value:
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    return f"{value:.3g}"
