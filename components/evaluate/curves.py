"""The curves behind the figures, thinned to what an eye can tell apart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from churn.domain import decision, metrics
from churn.domain.contract import Costs
from components.evaluate.evaluation import Calibration, Confusion, Curves, Points, Roc, Worth

Vector = npt.NDArray[np.float64]

_POINTS = 160
PER = 1000


def curves(y: Vector, p: Vector, oof: tuple[Vector, Vector], costs: Costs) -> Curves:
    """Curves of hold-out outcomes and probabilities (n,); calibration also of out-of-fold ones."""
    thresholds, true, chosen = _cumulated(y, p)
    leavers, kept = y.sum(), _thin(len(thresholds))
    profit = PER * (true * costs.success * costs.value - chosen * costs.contact) / len(y)
    return Curves(
        roc=Roc(
            x=_tuple(((chosen - true) / (len(y) - leavers))[kept]),
            y=_tuple((true / leavers)[kept]),
            threshold=_tuple(thresholds[kept]),
        ),
        precision_recall=_points(true[1:] / leavers, true[1:] / chosen[1:]),
        profit=_points(chosen / len(y), profit),
        calibration=calibration(y, p),
        calibration_cv=calibration(*oof),
    )


def calibration(y: Vector, p: Vector) -> Calibration:
    """Ten groups of equal size."""
    predicted, observed, share = metrics.calibration(y, p)
    rows = np.rint(share * len(y)).astype(int)
    return Calibration(predicted=_tuple(predicted), observed=_tuple(observed), rows=tuple(int(n) for n in rows))


def worth(y: Vector, p: Vector, threshold: float, costs: Costs) -> Worth:
    """Contacting whom the model would, against contacting everyone; contacting nobody is worth nothing."""
    chosen = p >= threshold
    return Worth(
        model=PER * decision.profit(y, p, threshold, costs),
        everyone=PER * float(decision.profits(y, np.ones(len(y), bool), costs).mean()),
        contacted=PER * float(chosen.mean()),
        leavers=PER * float(y.mean()),
        leavers_contacted=PER * float((chosen * y).mean()),
    )


def confusion(y: Vector, p: Vector, threshold: float) -> Confusion:
    """Decisions against outcomes."""
    chosen, left = p >= threshold, y == 1
    return Confusion(
        true_positives=int(np.sum(chosen & left)),
        false_positives=int(np.sum(chosen & ~left)),
        false_negatives=int(np.sum(~chosen & left)),
        true_negatives=int(np.sum(~chosen & ~left)),
    )


def _cumulated(y: Vector, p: Vector) -> tuple[Vector, Vector, Vector]:
    """Thresholds, highest first (1 for nobody), and how many leavers and how many customers reach each."""
    order = np.argsort(-p, kind="stable")
    last = np.append(np.nonzero(np.diff(p[order]))[0], len(p) - 1)
    true, chosen = np.cumsum(y[order])[last], (last + 1).astype(np.float64)
    return np.append(1.0, p[order][last]), np.append(0.0, true), np.append(0.0, chosen)


def _thin(count: int) -> npt.NDArray[np.int64]:
    """Positions of at most 160 of `count` points, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, _POINTS)).astype(np.int64))


def _points(x: Vector, y: Vector) -> Points:
    kept = _thin(len(x))
    return Points(x=_tuple(x[kept]), y=_tuple(y[kept]))


def _tuple(values: Vector) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)
