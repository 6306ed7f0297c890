"""How the model does on parts of the hold-out: each category of each categorical feature with enough rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from churn.domain import metrics
from components.evaluate.case import Case
from components.evaluate.evaluation import Slice

Vector = npt.NDArray[np.float64]

LEAST_ROWS = 50
_ROWS_A_BIN = 50


def slices(case: Case) -> tuple[Slice, ...]:
    """One for each category, and for rows without a value, in the contract's order."""
    y, p = case.held
    features = case.features[case.holdout]
    found = []
    for position, feature in enumerate(case.contract.features):
        for category, inside in _parts(case.contract.labels(feature) or (), features[:, position]):
            if inside.sum() >= LEAST_ROWS:
                found.append(_slice(feature, category, y[inside], p[inside]))
    return tuple(found)


def _parts(labels: tuple[str, ...], codes: Vector) -> Iterator[tuple[str | None, npt.NDArray[np.bool_]]]:
    for code, label in enumerate(labels):
        yield label, codes == code
    if labels:
        yield None, np.isnan(codes)


def _slice(feature: str, category: str | None, y: Vector, p: Vector) -> Slice:
    """Small slices get fewer bins: ten groups of five rows would measure nothing but chance."""
    auc = metrics.roc_auc(y, p)
    return Slice(
        feature=feature,
        category=category,
        rows=len(y),
        rate=float(y.mean()),
        predicted=float(p.mean()),
        roc_auc=None if np.isnan(auc) else auc,
        log_loss=metrics.log_loss(y, p),
        ece=metrics.ece(y, p, min(metrics.BINS, max(1, len(y) // _ROWS_A_BIN))),
    )
