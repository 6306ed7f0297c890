"""Estimators from the contract's words: import, build, fit, predict. Nothing here knows folds or files."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils.class_weight import compute_sample_weight

from churn.domain.contract import Candidate
from churn.domain.errors import UserError

Design = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]

NATIVE_MISSING = ("xgboost.", "lightgbm.")
"""Estimators that learn where a missing value goes; every other one stands behind an imputer."""

EARLY_STOPPING = "early_stopping_rounds"
_VALIDATION_EVERY = 7


class Balance(msgspec.Struct, frozen=True):
    """What is done about rare leavers, in training rows only. Nothing, by default: probabilities stay honest."""

    resample: Literal["none", "smote"] = "none"
    class_weight: Literal["none", "balanced"] = "none"


def imputed(candidate: Candidate, balance: Balance) -> bool:
    """Whether the candidate needs a design matrix without nulls."""
    return balance.resample == "smote" or not candidate.estimator.startswith(NATIVE_MISSING) or bool(candidate.steps)


def unavailable(candidate: Candidate) -> str:
    """Why the candidate cannot be tried on this machine; empty when it can."""
    try:
        _import(candidate.estimator, candidate.name)
    except OSError as error:
        library = "the system library libgomp1" if "gomp" in str(error) else "a system library"
        return f"left out: {candidate.estimator} needs {library}, which this machine lacks"
    return ""


def build(candidate: Candidate, params: Mapping[str, Any] | None = None) -> Pipeline:
    """The candidate unfitted, one thread, seeded. Raises UserError for a class or parameter that does not exist."""
    steps = [
        (f"step{number}", _make(step.estimator, step.params, candidate.name))
        for number, step in enumerate(candidate.steps)
    ]
    estimator = _make(candidate.estimator, {**candidate.params, **(params or {})}, candidate.name)
    if not is_classifier(estimator) or not hasattr(estimator, "predict_proba"):
        raise UserError(
            f"{candidate.estimator} gives no probabilities",
            where=f"candidate {candidate.name}",
            remedy="use a classifier",
        )
    return Pipeline([*steps, ("model", estimator)])


def fit(pipeline: Pipeline, design: Design, y: Vector, balance: Balance = Balance()) -> Pipeline:
    """The pipeline fitted on a design matrix (n, m) and outcomes (n,).

    With early stopping, every seventh row decides how many rounds are enough, and the model is then fitted anew with
    that many on all rows: nothing has to be trimmed afterwards."""
    if pipeline["model"].get_params().get(EARLY_STOPPING):
        _settle_rounds(pipeline, design, y)
    weights = compute_sample_weight("balanced", y) if balance.class_weight == "balanced" else None
    if balance.resample == "smote":
        from imblearn.over_sampling import SMOTE

        design, y = SMOTE(random_state=0).fit_resample(design, y)
        weights = None if weights is None else compute_sample_weight("balanced", y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline.fit(design, y, **({} if weights is None else {"model__sample_weight": weights}))
    return pipeline


def predict(pipeline: Pipeline, design: Design) -> Vector:
    """Probability of leaving (n,)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(pipeline.predict_proba(design)[:, 1], np.float64)


def _settle_rounds(pipeline: Pipeline, design: Design, y: Vector) -> None:
    model = pipeline["model"]
    watched = np.arange(len(y)) % _VALIDATION_EVERY == 0
    steps = pipeline[:-1].fit(design[~watched], y[~watched]) if len(pipeline.steps) > 1 else None
    train, test = (steps.transform(part) if steps else part for part in (design[~watched], design[watched]))
    quiet = {"verbose": False} if type(model).__module__.startswith("xgboost") else {}
    model.fit(train, y[~watched], eval_set=[(test, y[watched])], **quiet)
    best = model.best_iteration + 1 if hasattr(model, "best_iteration") else model.best_iteration_
    model.set_params(**{"n_estimators": max(1, int(best)), EARLY_STOPPING: None})


def _import(path: str, candidate: str) -> type[BaseEstimator]:
    module, _, name = path.rpartition(".")
    where = f"candidate {candidate}"
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"there is no class '{path}'", where=where, remedy="like sklearn.linear_model.LogisticRegression"
        ) from error
    if not (isinstance(found, type) and issubclass(found, BaseEstimator)):
        raise UserError(f"'{path}' is not a scikit-learn compatible estimator", where=where)
    return found


def _make(path: str, params: Mapping[str, Any], candidate: str) -> BaseEstimator:
    kind = _import(path, candidate)
    known = kind().get_params()
    defaults = {"random_state": 0, "n_jobs": 1, "verbosity": 0 if path.startswith("xgboost.") else -1}
    if path.startswith("lightgbm."):
        defaults |= {"deterministic": True, "force_row_wise": True}
    given = {name: value for name, value in defaults.items() if name in known or path.startswith("lightgbm.")} | dict(
        params
    )
    try:
        return kind(**given)
    except TypeError as error:
        raise UserError(
            str(error).split(") ")[-1], where=f"candidate {candidate}", remedy=f"parameters of {path}"
        ) from error
