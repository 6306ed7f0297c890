"""From a probability to what is done: the threshold that pays, the risk level, the words for both."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from churn.domain.contract import Contract, Costs
from churn.domain.contract import Level as Risk

Vector = npt.NDArray[np.float64]


def profits(y: Vector, chosen: npt.NDArray[np.bool_], costs: Costs) -> Vector:
    """What contacting the `chosen` brings, row by row: success x value for a leaver, less the cost of each contact."""
    return np.where(chosen, y * costs.success * costs.value - costs.contact, 0.0)


def profit(y: Vector, p: Vector, threshold: float, costs: Costs) -> float:
    """Expected profit a customer of contacting everyone with `p >= threshold` (Verbeke et al. 2012, one offer)."""
    return float(profits(y, p >= threshold, costs).mean())


def profit_curve(y: Vector, p: Vector, costs: Costs) -> tuple[Vector, Vector]:
    """Each distinct score as a threshold, rising, and the expected profit a customer at it."""
    order = np.argsort(-p, kind="stable")
    total = np.cumsum(y[order] * costs.success * costs.value - costs.contact)
    last = np.append(np.nonzero(np.diff(p[order]))[0], len(p) - 1)
    return p[order][last][::-1], (total[last] / len(p))[::-1]


def best_threshold(y: Vector, p: Vector, costs: Costs) -> float:
    """The threshold with the highest expected profit on these rows; 1 when contacting anyone loses money."""
    thresholds, profit_at = profit_curve(y, p, costs)
    best = int(np.argmax(profit_at))
    return float(thresholds[best]) if profit_at[best] > 0 else 1.0


def risk_bounds(threshold: float, high: float) -> tuple[float, float]:
    """Where medium and high risk begin: at the threshold that pays, so that whoever is contacted is not at low risk."""
    return threshold, max(threshold, high)


def risk(p: float, bounds: tuple[float, float]) -> Risk:
    """low below the first bound, high from the second on."""
    return "low" if p < bounds[0] else "medium" if p < bounds[1] else "high"


def confidence(p: float) -> float:
    """The probability of the likelier of the two outcomes; honest because the gate holds calibration."""
    return max(p, 1.0 - p)


def recommendation(contract: Contract, level: Risk, strongest: str | None = None) -> str:
    """What to do about a customer of this risk level, in the contract's words.

    `strongest` is the column that raises the risk most, where one does and it is known; it counts only for a level
    whose advice says so (`contract.advice(level).by_reason`)."""
    advice = contract.advice(level)
    return advice.by_reason.get(strongest, advice.default) if strongest else advice.default
