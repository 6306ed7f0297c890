"""Which contract columns a fitted model leans on, in the measure that suits its kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from churn.domain import metrics
from churn.domain.derivation import Derivation
from components.train.assembly import Part
from components.train.data import TrainingSet
from components.train.fitting import Model

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

_ROWS = 2_000
_SEED = 7


@dataclass(frozen=True)
class Importances:
    """A value for each contract column, the largest first; what is derived from several columns counts for the one
    it is told as. `measure` says what the values are, with their unit."""

    measure: str
    columns: tuple[str, ...]
    values: Vector


def importances(model: Model, data: TrainingSet) -> Importances:
    """The estimator's own measure, on the rows it was fitted on; for a blend, or where there is none, by shuffling."""
    if model.blend is not None:
        return _by_shuffling(model, data)
    part = model.parts[0]
    estimator = part.pipeline["model"]
    gains = _gains(estimator, len(part.preparation.names))
    if len(part.pipeline.steps) == 1 and gains is not None:
        return _ranked(model, f"share of the gain of all splits (%), {type(estimator).__name__}", _summed(model, gains))
    if len(getattr(estimator, "coef_", ())) == 1 and estimator.coef_.shape[1] == len(part.preparation.names):
        return _ranked(model, "standard deviation of what the column adds to the log-odds", _spreads(model, data))
    return _by_shuffling(model, data)


def _gains(estimator: Any, width: int) -> Vector | None:
    """Percent of the gain by design column (m,), for estimators made of trees."""
    package = type(estimator).__module__.partition(".")[0]
    if package == "xgboost":
        scores = estimator.get_booster().get_score(importance_type="total_gain")
        gains = np.array([scores.get(f"f{position}", 0.0) for position in range(width)])
    elif package == "lightgbm":
        gains = np.asarray(estimator.booster_.feature_importance("gain"), np.float64)
    elif hasattr(estimator, "feature_importances_"):
        gains = np.asarray(estimator.feature_importances_, np.float64)
    else:
        return None
    return gains * (100 / gains.sum()) if gains.sum() else gains


def _summed(model: Model, by_design_column: Vector) -> dict[str, float]:
    found = dict.fromkeys(model.contract.raw, 0.0)
    for column, value in zip(_told_as(model), by_design_column, strict=True):
        found[column] += float(value)
    return found


def _spreads(model: Model, data: TrainingSet) -> dict[str, float]:
    """A linear model's terms of one column taken together, for each row: their deviation over the rows."""
    part = model.parts[0]
    design = np.asarray(_before_the_model(part, data.features[data.development]), np.float64)
    terms = design * part.pipeline["model"].coef_[0]
    told_as = np.array(_told_as(model))
    return {column: float(terms[:, told_as == column].sum(axis=1).std()) for column in model.contract.raw}


def _before_the_model(part: Part, features: Matrix) -> Any:
    design = part.preparation.transform(features)
    return part.pipeline[:-1].transform(design) if len(part.pipeline.steps) > 1 else design


def _by_shuffling(model: Model, data: TrainingSet) -> Importances:
    """A column is shuffled in front of the derivation: all that is derived from it moves along (Breiman 2001)."""
    rows = data.development[:_ROWS]
    columns, y = data.columns[rows], data.y[rows]
    derivation, generator = Derivation(model.contract), np.random.default_rng(_SEED)
    before = metrics.log_loss(y, model.predict(data.features[rows]))
    found = {}
    for position, name in enumerate(model.contract.raw):
        shuffled = columns.copy()
        shuffled[:, position] = generator.permutation(shuffled[:, position])
        found[name] = metrics.log_loss(y, model.predict(derivation.run(shuffled))) - before
    return _ranked(model, "rise of the log-loss (nats) when the column is shuffled", found)


def _told_as(model: Model) -> Sequence[str]:
    return [model.contract.told_as(feature) for feature in model.preparation.origins]


def _ranked(model: Model, measure: str, found: dict[str, float]) -> Importances:
    columns = sorted(found, key=lambda column: (-found[column], model.contract.raw.index(column)))
    return Importances(measure, tuple(columns), np.array([found[column] for column in columns]))
