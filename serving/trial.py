"""The example of a bundle, put to all that answers for it: a version is not in charge before each has answered it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from churn.domain import bundle as bundles
from churn.domain.errors import UserError
from churn.domain.scoring import MANY, Scorer

if TYPE_CHECKING:
    from serving.version import Version

Vector = npt.NDArray[np.float64]

LOGIT_TOLERANCE = 1e-3
"""By how much base value and contributions may miss the logit of the example's probability."""


def pass_by(version: Version) -> None:
    """Loads what explanations and large batches need and lets both answer the example; only then are batches scored in
    the new way. Blocks: importing XGBoost alone takes a second. Raises UserError for an answer that is wrong."""
    columns, probability = bundles.example(version.bundle)
    _try_explainer(version, columns, probability)
    version.scorer = _tried_scorer(version, columns, probability)


def _try_explainer(version: Version, columns: Vector, probability: Vector) -> None:
    version.explainer.warm()
    given = version.explainer.explain(columns)
    total = given.values.sum(axis=1) + given.base
    # As a difference of probabilities: near 0 and 1 a logit says more than the float32 of a probability holds.
    differences = np.abs(1.0 / (1.0 + np.exp(-total)) - probability)
    allowed = LOGIT_TOLERANCE * probability * (1.0 - probability) + bundles.TOLERANCE
    if not (differences <= allowed).all():
        raise _refusal(version, f"explains its own example wrongly (by {differences.max():.2g})")


def _tried_scorer(version: Version, columns: Vector, probability: Vector) -> Scorer:
    """One that has its booster, which differs from the graph by as much as the graph does from the example."""
    scorer = Scorer.of(version.bundle)
    scorer.warm()
    times = -(-MANY // len(columns))
    differences = np.abs(scorer.probability(np.tile(columns, (times, 1))) - np.tile(probability, times))
    if not (differences <= 2 * bundles.TOLERANCE).all():
        raise _refusal(version, f"answers its own example wrongly in a large batch (by {differences.max():.2g})")
    return scorer


def _refusal(version: Version, problem: str) -> UserError:
    return UserError(problem, where=str(version.bundle.folder), remedy="train again")
