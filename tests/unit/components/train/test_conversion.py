from __future__ import annotations

import numpy as np
import pytest

from churn.domain.contract import Candidate, Step
from churn.domain.errors import UserError
from churn.domain.preparation import Preparation
from components.train import conversion, estimators
from components.train.data import TrainingSet
from components.train.estimators import Balance
from tests.parity import difference
from tests.training import FOREST, LIGHTGBM, LOGISTIC, XGBOOST, blanked

TREES = "sklearn.ensemble"
EXOTIC = [
    Candidate(name="bayes", estimator="sklearn.naive_bayes.BernoulliNB"),
    Candidate(name="extra", estimator=f"{TREES}.ExtraTreesClassifier", params={"n_estimators": 30, "max_depth": 9}),
    Candidate(
        name="gradient", estimator=f"{TREES}.GradientBoostingClassifier", params={"n_estimators": 50, "max_depth": 5}
    ),
    Candidate(
        name="polynomial",
        estimator=LOGISTIC.estimator,
        steps=(
            *LOGISTIC.steps,
            Step(estimator="sklearn.feature_selection.SelectKBest", params={"k": 6}),
            Step(estimator="sklearn.preprocessing.PolynomialFeatures", params={"degree": 2}),
        ),
        params={"C": 0.001},
    ),
]


@pytest.mark.parametrize("one", [XGBOOST, LIGHTGBM, LOGISTIC, FOREST, *EXOTIC], ids=lambda one: one.name)
def test_a_graph_agrees_with_its_estimator_where_values_are_missing(one: Candidate, data: TrainingSet) -> None:
    holes = blanked(data)
    preparation = Preparation(data.contract, holes.features, impute=estimators.imputed(one, Balance()))
    design = preparation.transform(holes.features)
    fitted = estimators.fit(one, design, data.y)
    assert difference(conversion.convert(fitted, design.shape[1]), fitted, design) <= 1e-5


@pytest.mark.parametrize(
    ("one", "stands_behind"), [(XGBOOST, False), (LIGHTGBM, False), (FOREST, True), (LOGISTIC, True)]
)
def test_all_but_the_boosters_stand_behind_an_imputer(one: Candidate, stands_behind: bool, data: TrainingSet) -> None:
    holes = blanked(data).features
    design = Preparation(data.contract, holes, impute=estimators.imputed(one, Balance())).transform(holes)
    assert np.isnan(holes).any()
    assert np.isnan(design).any() != stands_behind


FINE = [
    Candidate(
        name="lightgbm",
        estimator=LIGHTGBM.estimator,
        params={"n_estimators": 60, "min_child_samples": 1, "learning_rate": 0.5, "max_bin": 1000},
    ),
    Candidate(name="xgboost", estimator=XGBOOST.estimator, params={"n_estimators": 60, "max_bin": 1000}),
    Candidate(name="tree", estimator="sklearn.tree.DecisionTreeClassifier"),
    Candidate(name="extra", estimator=f"{TREES}.ExtraTreesClassifier", params={"n_estimators": 5}),
    Candidate(name="gradient", estimator=f"{TREES}.GradientBoostingClassifier", params={"max_depth": 9}),
]


@pytest.mark.parametrize("one", FINE, ids=lambda one: one.name)
def test_the_graph_takes_the_same_turn_where_a_threshold_lies_between_two_neighbours(one: Candidate) -> None:
    """Of two float32 neighbours, a threshold half way rounds to one of them: half of the pairs would go astray."""
    lower = np.linspace(1.5, 900.0, 40).astype(np.float32)
    pairs = np.concatenate([lower, np.nextafter(lower, np.float32(np.inf))])
    design, outcome = np.repeat(pairs, 25)[:, None], np.repeat([0.0, 1.0], 40 * 25)
    fitted = estimators.fit(one, design, outcome)
    own = estimators.predict(fitted, pairs[:, None])
    assert (own[40:] - own[:40]).max() > 0.3
    assert difference(conversion.convert(fitted, 1), fitted, pairs[:, None]) <= 1e-6


def test_an_estimator_without_a_conversion_is_refused_by_name(data: TrainingSet) -> None:
    one = Candidate(name="boosted", estimator="xgboost.XGBRFClassifier", params={"n_estimators": 3})
    fitted = estimators.fit(one, data.features.astype(np.float32), data.y)
    with pytest.raises(UserError, match="candidate boosted: XGBRFClassifier does not convert to ONNX"):
        conversion.convert(fitted, data.features.shape[1], "boosted")
