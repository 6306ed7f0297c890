"""Votes and stacks of other candidates, judged from their members' out-of-fold predictions: nothing is fitted twice.

A vote is the mean of the members' probabilities; a weighted vote weighs each by its own out-of-fold skill; a stack is a
logistic regression on the members' log-odds (Wolpert 1992), itself judged across the same folds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from churn.domain.contract import Candidate
from churn.domain.metrics import log_loss

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
EDGE = 1e-3
"""Members' probabilities are kept this far from 0 and 1, where log-odds would magnify what float32 has rounded."""


@dataclass(frozen=True)
class Blend:
    """How members' probabilities become one: `sum(weights * p)`, or `sigmoid(sum(weights * logit p) + bias)`."""

    weights: tuple[float, ...]
    bias: float = 0.0
    logistic: bool = False

    def apply(self, members: Matrix) -> Vector:
        """Probabilities (n,) of the members' probabilities (n, members)."""
        weights = np.array(self.weights)
        if not self.logistic:
            return np.asarray(members @ weights, np.float64)
        return np.asarray(1 / (1 + np.exp(-(logits(members) @ weights + self.bias))), np.float64)


def logits(p: Matrix) -> Matrix:
    """Log-odds of probabilities kept away from 0 and 1."""
    kept = np.clip(p, EDGE, 1 - EDGE)
    return np.asarray(np.log(kept) - np.log1p(-kept), np.float64)


def blend(candidate: Candidate, y: Vector, members: Matrix) -> Blend:
    """The blend learned from members' out-of-fold probabilities (n, members) and outcomes (n,)."""
    count = members.shape[1]
    if candidate.ensemble == "vote":
        return Blend((1 / count,) * count)
    if candidate.ensemble == "weighted":
        baseline = log_loss(y, np.full(len(y), y.mean()))
        skill = np.maximum([baseline - log_loss(y, members[:, i]) for i in range(count)], 1e-9)
        return Blend(tuple(float(weight) for weight in skill / skill.sum()))
    model = LogisticRegression(C=10.0, max_iter=1000).fit(logits(members), y)
    return Blend(tuple(float(weight) for weight in model.coef_[0]), float(model.intercept_[0]), logistic=True)


def out_of_fold(candidate: Candidate, y: Vector, members: Matrix, fold: npt.NDArray[np.int64]) -> Vector:
    """The ensemble's probability (n,) for each row, from a blend learned on the other folds' rows."""
    found = np.full(len(y), np.nan)
    for number in np.unique(fold):
        inside = fold == number
        found[inside] = blend(candidate, y[~inside], members[~inside]).apply(members[inside])
    return found
