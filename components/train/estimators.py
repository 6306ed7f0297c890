"""Estimators from the contract's words: import, build, fit, predict. Nothing here knows folds or files."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import has_fit_parameter
from threadpoolctl import threadpool_limits

from churn.domain.contract import Candidate
from churn.domain.errors import UserError
from churn.domain.formula import nearest

Design = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]
Resampling = Literal["none", "smote"]
Weighting = Literal["none", "balanced"]

BOOSTERS = ("xgboost", "lightgbm")
"""Packages of estimators that learn where a missing value goes; every other one stands behind an imputer."""

_SEEDED = {"random_state": 0}
_FORCED: dict[str, dict[str, Any]] = {
    "xgboost": {"n_jobs": 1, "verbosity": 0},
    "lightgbm": {"n_jobs": 1, "verbosity": -1, "deterministic": True, "force_row_wise": True},
}
"""What makes an estimator quiet and its sums the same on every machine, unless the candidate says otherwise."""

_EARLY_STOPPING = "early_stopping_rounds"
_UNLISTED = {"lightgbm": (_EARLY_STOPPING, "deterministic", "force_row_wise", "verbosity", "max_bin", "extra_trees")}
"""Parameters that an estimator takes without saying so."""

_VALIDATION_EVERY = 7


class Balance(msgspec.Struct, frozen=True):
    """What is done about rare leavers, in training rows only. Nothing, by default: probabilities stay honest."""

    resample: Resampling = "none"
    class_weight: Weighting = "none"


_AS_THEY_ARE = Balance()


def imputed(candidate: Candidate, balance: Balance) -> bool:
    """Whether the candidate needs a design matrix without nulls."""
    return balance.resample == "smote" or _package(candidate.estimator) not in BOOSTERS or bool(candidate.steps)


def unavailable(candidate: Candidate) -> str:
    """Why the candidate cannot be tried on this machine; empty when it can."""
    try:
        build(candidate)
    except OSError as error:
        library = "the system library libgomp1" if "gomp" in str(error) else "a system library"
        return f"left out: {candidate.estimator} needs {library}, which this machine lacks"
    return ""


@contextmanager
def steady() -> Iterator[None]:
    """Within it no estimator warns, and no sum depends on the number of cores. Not to be entered by threads."""
    with warnings.catch_warnings(), threadpool_limits(limits=1):
        warnings.simplefilter("ignore")
        yield


def build(candidate: Candidate) -> Pipeline:
    """The candidate unfitted, one thread, seeded. Raises UserError for a class or parameter that does not exist."""
    where = f"candidate {candidate.name}"
    steps = [(f"step{i}", _make(step.estimator, step.params, where)) for i, step in enumerate(candidate.steps)]
    estimator = _make(candidate.estimator, candidate.params, where)
    if not is_classifier(estimator) or not hasattr(estimator, "predict_proba"):
        raise UserError(f"{candidate.estimator} gives no probabilities", where=where, remedy="use a classifier")
    return Pipeline([*steps, ("model", estimator)])


def fit(candidate: Candidate, design: Design, y: Vector, balance: Balance = _AS_THEY_ARE) -> Pipeline:
    """The candidate fitted on a design matrix (n, m) and outcomes (n,).

    With early stopping, every seventh row decides how many rounds are enough, and the model is then fitted anew with
    that many on all rows: nothing has to be trimmed afterwards.
    Raises UserError for parameters or rows that the estimator refuses."""
    pipeline = build(candidate)
    try:
        if pipeline["model"].get_params().get(_EARLY_STOPPING):
            _settle_rounds(pipeline, design, y)
        if balance.resample == "smote":
            design, y = _oversampled(design, y)
        return pipeline.fit(design, y, **_weights(pipeline, y, balance))
    except MemoryError:
        raise
    except Exception as error:  # an estimator raises whatever it meets
        raise UserError(f"cannot be fitted: {_first_line(error)}", where=f"candidate {candidate.name}") from error


def predict(pipeline: Pipeline, design: Design) -> Vector:
    """Probability of leaving (n,)."""
    return np.asarray(pipeline.predict_proba(design)[:, 1], np.float64)


def _oversampled(design: Design, y: Vector) -> tuple[Design, Vector]:
    from imblearn.over_sampling import SMOTE

    more, outcomes = SMOTE(random_state=0).fit_resample(design, y)
    return np.asarray(more, np.float32), np.asarray(outcomes, np.float64)


def _weights(pipeline: Pipeline, y: Vector, balance: Balance) -> dict[str, Vector]:
    if balance.class_weight == "none":
        return {}
    if not has_fit_parameter(pipeline["model"], "sample_weight"):
        raise ValueError("it takes no weights, so class_weight has no meaning for it")
    return {"model__sample_weight": compute_sample_weight("balanced", y)}


def _settle_rounds(pipeline: Pipeline, design: Design, y: Vector) -> None:
    model = pipeline["model"]
    watched = np.arange(len(y)) % _VALIDATION_EVERY == 0
    steps = pipeline[:-1].fit(design[~watched], y[~watched]) if len(pipeline.steps) > 1 else None
    train, test = (steps.transform(part) if steps else part for part in (design[~watched], design[watched]))
    quiet = {"verbose": False} if _package(type(model).__module__) == "xgboost" else {}
    model.fit(train, y[~watched], eval_set=[(test, y[watched])], **quiet)
    best = model.best_iteration + 1 if hasattr(model, "best_iteration") else model.best_iteration_
    model.set_params(**{"n_estimators": max(1, int(best)), _EARLY_STOPPING: None})


def _make(path: str, params: Mapping[str, Any], where: str) -> BaseEstimator:
    kind = _import(path, where)
    try:
        known = [*kind().get_params(), *_UNLISTED.get(_package(path), ())]
        for name in params:
            if name not in known:
                raise UserError(f"{path} has no parameter '{name}'", where=where, remedy=nearest(name, known))
        given = {**_SEEDED, **_FORCED.get(_package(path), {}), **params}
        return kind(**{name: value for name, value in given.items() if name in known})
    except TypeError as error:
        raise UserError(f"{path} cannot be built: {_first_line(error)}", where=where) from error


def _import(path: str, where: str) -> type[BaseEstimator]:
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        remedy = "a path like sklearn.linear_model.LogisticRegression"
        raise UserError(f"there is no class '{path}'", where=where, remedy=remedy) from error
    if not (isinstance(found, type) and issubclass(found, BaseEstimator)):
        raise UserError(f"'{path}' is not a scikit-learn compatible estimator", where=where)
    return found


def _package(path: str) -> str:
    return path.partition(".")[0]


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
