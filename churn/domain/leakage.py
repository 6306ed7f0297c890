"""How well one feature alone tells who left; what tells too well was probably recorded afterwards."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from churn.domain import metrics

Vector = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

GROUPS = 50
_PARTS = 5


def feature_auc(values: Vector, y: Vector, *, categorical: bool) -> float:
    """AUC of one feature (n,) for outcomes y (n,) of 0 and 1, in whichever direction is better. NaN is a value too.

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
    for number in range(_PARTS):
        inside = part == number
        count = np.bincount(codes[~inside], minlength=codes.max() + 1)
        left = np.bincount(codes[~inside], y[~inside], minlength=codes.max() + 1)
        rate = (left + y.mean()) / (count + 1)
        found.append(metrics.roc_auc(y[inside], rate[codes[inside]]))
    return float(np.nanmean(found))
