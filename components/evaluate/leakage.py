"""Does one feature alone tell who left? Then it was probably recorded afterwards, and will not be there in time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from churn.domain import metrics
from churn.domain.contract import Contract
from churn.domain.errors import UserError
from components.evaluate.case import Case
from components.evaluate.words import number

Vector = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

GROUPS = 50
_PARTS = 5


def alone(case: Case) -> dict[str, float]:
    """The AUC of every feature alone over all rows, the highest first."""
    found = {}
    for position, name in enumerate(case.contract.features):
        categorical = case.contract.labels(name) is not None
        found[name] = feature_auc(case.features[:, position], case.y, categorical=categorical)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def refuse_leaking_columns(contract: Contract, alone: dict[str, float], table: str = "") -> None:
    """Raises UserError that names the first column of the table, not a derived feature, above the contract's bound."""
    bound = contract.gate.leak_auc
    for name, auc in alone.items():
        if name in contract.columns and auc > bound:
            place = f"column {contract.source_of(name)}"
            raise UserError(
                f"tells on its own who left (AUC {number(auc)}, the contract allows {bound:g}), as only what is "
                "recorded afterwards can",
                where=f"{table}, {place}" if table else place,
                remedy=f"remove {name} from the contract's columns; if it is truly known in time, raise gate.leak_auc",
            )


def feature_auc(values: Vector, y: Vector, *, categorical: bool) -> float:
    """AUC of one feature (n,) in whichever direction is better. A null is a value of its own.

    Numbers are ranked, and grouped too, so that neither a rising nor a winding relation stays hidden; groups and
    categories are scored by the share of leavers that other rows of the group have."""
    if categorical:
        return _grouped(np.nan_to_num(values, nan=-1).astype(np.int64) + 1, y)
    null = np.isnan(values)
    placements = (-np.inf, np.inf) if null.any() else (0.0,)
    ranked = [metrics.roc_auc(y, np.where(null, place, values)) for place in placements]
    return max(*ranked, *(1 - auc for auc in ranked), _grouped(_quantile_groups(values, null), y))


def _quantile_groups(values: Vector, null: npt.NDArray[np.bool_]) -> Codes:
    if null.all():
        return np.zeros(len(values), np.int64)
    edges = np.unique(np.quantile(values[~null], np.linspace(0, 1, GROUPS + 1)[1:-1]))
    return np.where(null, 0, 1 + np.searchsorted(edges, values, side="right"))


def _grouped(codes: Codes, y: Vector) -> float:
    """Mean AUC over five parts of the rows; each part's groups have the rate seen in the other four."""
    part = np.empty(len(y), np.int64)
    part[np.argsort(y, kind="stable")] = np.arange(len(y)) % _PARTS
    found = []
    for number_of_part in range(_PARTS):
        inside = part == number_of_part
        count = np.bincount(codes[~inside], minlength=codes.max() + 1)
        left = np.bincount(codes[~inside], y[~inside], minlength=codes.max() + 1)
        rate = (left + y.mean()) / (count + 1)
        found.append(metrics.roc_auc(y[inside], rate[codes[inside]]))
    return float(np.nanmean(found))
