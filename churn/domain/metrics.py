"""Measures of predicted probabilities against outcomes, in NumPy alone so that every role can compute them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from churn.domain import decision
from churn.domain.contract import Costs

Vector = npt.NDArray[np.float64]

BINS = 10


def roc_auc(y: Vector, p: Vector) -> float:
    """Area under the ROC curve: the chance that a leaver scores above a stayer, ties counted half (Mann-Whitney)."""
    positives = float(y.sum())
    negatives = len(y) - positives
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = np.unique(p, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse.reshape(-1)]
    return float((ranks[y == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def pr_auc(y: Vector, p: Vector) -> float:
    """Average precision: sum of precision x gain in recall over the distinct scores, highest first."""
    true_positives, predicted = _at_each_score(y, p)
    if not y.any():
        return float("nan")
    recall = true_positives / y.sum()
    return float(np.sum(np.diff(recall, prepend=0.0) * true_positives / predicted))


def log_losses(y: Vector, p: Vector) -> Vector:
    """The logarithmic loss of each row, in nats; probabilities are kept 1e-7 away from 0 and 1."""
    kept = np.clip(p, 1e-7, 1 - 1e-7)
    return np.asarray(-(y * np.log(kept) + (1 - y) * np.log1p(-kept)), np.float64)


def log_loss(y: Vector, p: Vector) -> float:
    """Mean logarithmic loss in nats."""
    return float(log_losses(y, p).mean())


def brier(y: Vector, p: Vector) -> float:
    """Mean squared error of the probability (Brier 1950)."""
    return float(np.mean((p - y) ** 2))


def calibration(y: Vector, p: Vector, bins: int = BINS) -> tuple[Vector, Vector, Vector]:
    """Mean prediction, observed rate and share of rows of `bins` groups, by rising prediction.

    The groups are of equal size, except that equal predictions stay together: the order of rows decides nothing."""
    group, size = _groups(p, bins)
    filled = size > 0
    mean, rate = (np.bincount(group, weights=values, minlength=bins)[filled] / size[filled] for values in (p, y))
    return mean, rate, size[filled] / len(p)


def _groups(p: Vector, bins: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The group of each row, and how many rows each group has."""
    _, inverse, counts = np.unique(p, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    group = (middle * bins / len(p)).astype(np.int64)[inverse.reshape(-1)]
    return group, np.bincount(group, minlength=bins)


def ece(y: Vector, p: Vector, bins: int = BINS) -> float:
    """Expected calibration error over groups of equal size (Nixon et al. 2019): the mean |prediction - observed|."""
    mean, rate, share = calibration(y, p, bins)
    return float(np.sum(share * np.abs(mean - rate)))


def ece_by_chance(p: Vector, level: float = 0.95, bins: int = BINS, draws: int = 2000) -> float:
    """The ECE that perfectly calibrated probabilities exceed with a chance of 1 - `level` only, on these rows.

    Simulated: the observed rate of a group has mean `p` and variance sum(p (1 - p)) / rows^2, taken as normal."""
    group, size = _groups(p, bins)
    filled = size > 0
    variance = np.bincount(group, weights=p * (1 - p), minlength=bins)[filled] / size[filled] ** 2
    drawn = np.abs(np.random.default_rng(7).normal(0, np.sqrt(variance), (draws, filled.sum())))
    return float(np.quantile(drawn @ (size[filled] / len(p)), level))


def lift(y: Vector, p: Vector, share: float = 0.1) -> float:
    """How many times more leavers the highest-scored `share` holds than a random one of the same size.

    Of rows that are equal at its edge, it holds a random part."""
    if not y.any():
        return float("nan")
    count = max(1, round(len(p) * share))
    true_positives, predicted = _at_each_score(y, p)
    found = np.interp(count, np.append(0.0, predicted), np.append(0.0, true_positives))
    return float(found / count / y.mean())


def at_threshold(y: Vector, p: Vector, threshold: float) -> dict[str, float]:
    """Accuracy, precision, recall and F1 of the decision `p >= threshold`; 0 where a ratio has no denominator."""
    chosen = p >= threshold
    hits = float(np.sum(chosen & (y == 1)))
    precision = hits / chosen.sum() if chosen.any() else 0.0
    recall = hits / y.sum() if y.any() else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {
        "accuracy": float(np.mean(chosen == (y == 1))),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
    }


_OF_PROBABILITY: dict[str, Callable[[Vector, Vector], float]] = {
    "roc_auc": roc_auc,
    "pr_auc": pr_auc,
    "log_loss": log_loss,
    "brier": brier,
    "ece": ece,
    "lift_10": lift,
}
NAMES = (*_OF_PROBABILITY, "accuracy", "f1", "precision", "recall", "expected_profit", "threshold")
"""Every metric `measure` gives."""

SMALLER_IS_BETTER = frozenset({"log_loss", "brier", "ece"})


def measure(y: Vector, p: Vector, threshold: float, costs: Costs) -> dict[str, float]:
    """All metrics of probabilities `p` (n,) for outcomes `y` (n,), 0 or 1; `expected_profit` is a customer's mean."""
    found = {name: metric(y, p) for name, metric in _OF_PROBABILITY.items()}
    found |= at_threshold(y, p, threshold)
    found |= {"expected_profit": decision.profit(y, p, threshold, costs), "threshold": threshold}
    return {name: found[name] for name in NAMES}


def _at_each_score(y: Vector, p: Vector) -> tuple[Vector, Vector]:
    """True positives and predicted positives at each distinct score, highest first."""
    order = np.argsort(-p, kind="stable")
    last = np.append(np.nonzero(np.diff(p[order]))[0], len(p) - 1)
    return np.cumsum(y[order])[last].astype(np.float64), (last + 1).astype(np.float64)
