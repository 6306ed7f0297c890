"""A fitted model as weights on its design matrix, where it is one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from churn.domain import bundle
from components.train.fitting import Model

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

_ROWS = 10_000
_CLOSE = 1e-7
"""How far, in probability, the weights may be from the estimator."""


def linear(model: Model, features: Matrix) -> bundle.Linear | None:
    """Intercept and weights, and the mean of the design columns over the rows `features` (n, f); None for a model that
    is not linear there.

    Whatever stands before the estimator is asked for its weights column by column, then all is held to the estimator's
    own answers: scalers pass, and what bends a column does not."""
    estimator = model.parts[0].pipeline["model"]
    if len(model.parts) > 1 or not hasattr(estimator, "coef_") or len(estimator.coef_) != 1:
        return None
    design = np.asarray(model.preparation.transform(features), np.float64)
    intercept, weights = _weights(model, design.shape[1])
    rows = design[:: -(-len(design) // _ROWS)]
    p = 1 / (1 + np.exp(-(intercept + rows @ weights)))
    own: Vector = model.parts[0].pipeline.predict_proba(rows)[:, 1]
    if not np.abs(own - p).max() <= _CLOSE:
        return None
    return bundle.Linear(intercept, tuple(weights.tolist()), tuple(design.mean(axis=0).tolist()))


def _weights(model: Model, width: int) -> tuple[float, Vector]:
    """What a design of zeros gives, and what each column adds to it (m,)."""
    pipeline = model.parts[0].pipeline
    steps, estimator = pipeline[:-1], pipeline["model"]
    probes = np.vstack([np.zeros(width), np.eye(width)])
    found = (steps.transform(probes) if len(pipeline.steps) > 1 else probes) @ estimator.coef_[0]
    return float(found[0] + estimator.intercept_[0]), found[1:] - found[0]
