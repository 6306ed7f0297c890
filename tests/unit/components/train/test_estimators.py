from __future__ import annotations

import warnings

import msgspec
import numpy as np
import pytest

from churn.domain.contract import Candidate, Step
from churn.domain.errors import UserError
from components.train import conversion, estimators
from components.train.data import TrainingSet
from components.train.estimators import Balance
from components.train.selection import Folds, out_of_fold
from tests.parity import difference
from tests.training import LIGHTGBM, LOGISTIC, RECORDER, XGBOOST, Recorder, blanked

SMOTE = Balance(resample="smote")
BALANCED = Balance(class_weight="balanced")


def candidate(path: str, **params: object) -> Candidate:
    return Candidate(name="mine", estimator=path, params=params)


@pytest.fixture
def seen() -> list:
    Recorder.seen.clear()
    return Recorder.seen


@pytest.mark.parametrize(
    ("one", "says"),
    [
        (candidate("sklearn.linear_model.Logistic"), "there is no class 'sklearn.linear_model.Logistic'"),
        (candidate("sklearn.nowhere.Thing"), "there is no class"),
        (candidate("LogisticRegression"), "there is no class"),
        (candidate("pathlib.Path"), "is not a scikit-learn compatible estimator"),
        (candidate("sklearn.linear_model.Ridge"), "gives no probabilities"),
        (candidate("sklearn.svm.LinearSVC"), "gives no probabilities"),
        (candidate("sklearn.ensemble.VotingClassifier"), "cannot be built: .*missing 1 required"),
        (
            candidate("sklearn.linear_model.LogisticRegression", c=1),
            "no parameter 'c' \\(did you mean|no parameter 'c'",
        ),
        (candidate("xgboost.XGBClassifier", max_dept=3), r"no parameter 'max_dept' \(did you mean 'max_depth'"),
        (candidate("lightgbm.LGBMClassifier", num_leafs=3), r"no parameter 'num_leafs' \(did you mean 'num_leaves'"),
    ],
)
def test_a_candidate_that_cannot_be_built_is_refused_by_name(one: Candidate, says: str) -> None:
    with pytest.raises(UserError, match=f"candidate mine: .*{says}"):
        estimators.build(one)


@pytest.mark.parametrize(
    "one",
    [
        candidate("sklearn.ensemble.RandomForestClassifier", max_depth=-3),
        candidate("xgboost.XGBClassifier", max_depth=-3),
        candidate("lightgbm.LGBMClassifier", num_leaves=0),
    ],
)
def test_a_parameter_that_the_estimator_refuses_is_the_users_fault(one: Candidate, data: TrainingSet) -> None:
    with pytest.raises(UserError, match=r"candidate mine: cannot be fitted: .+"):
        estimators.fit(one, np.nan_to_num(data.features).astype(np.float32), data.y)


def test_weights_for_an_estimator_that_takes_none_are_refused(data: TrainingSet) -> None:
    neighbours = candidate("sklearn.neighbors.KNeighborsClassifier")
    with pytest.raises(UserError, match="candidate mine: cannot be fitted: it takes no weights"):
        estimators.fit(neighbours, np.nan_to_num(data.features).astype(np.float32), data.y, BALANCED)


def test_too_few_leavers_for_smote_are_the_users_fault() -> None:
    with pytest.raises(UserError, match="candidate recorder: cannot be fitted"):
        estimators.fit(RECORDER, np.eye(20, dtype=np.float32), np.array([1.0] * 3 + [0.0] * 17), SMOTE)


def test_as_they_are_every_fold_trains_on_its_own_rows_alone(seen: list, data: TrainingSet) -> None:
    folds = Folds(data.contract, data.rows, Balance())
    for number, fold in enumerate(data.rows.folds):
        folds.predict(RECORDER, number)
        _, y, weights = seen[-1]
        assert weights is None
        assert np.array_equal(y, data.rows.y[fold.train])


def test_smote_adds_rows_to_the_training_side_of_a_fold_and_to_nothing_else(seen: list, data: TrainingSet) -> None:
    folds = Folds(data.contract, data.rows, SMOTE)
    for number, fold in enumerate(data.rows.folds):
        predicted = folds.predict(RECORDER, number)
        design, y, _ = seen[-1]
        own = folds._designs[number, True][0]
        assert len(predicted) == len(fold.test)
        assert np.array_equal(design[: len(own)], own)
        assert np.array_equal(y[: len(own)], data.rows.y[fold.train])
        assert y.mean() == 0.5
        assert np.all(y[len(own) :] == 1)
        assert not np.isnan(design).any()


def test_smote_makes_rows_between_neighbours_of_the_training_side_only(seen: list, data: TrainingSet) -> None:
    """Rows of the fold's test side lie far away here; one made from them would be seen."""
    rows = data.rows
    fold = rows.folds[0]
    moved = rows.features.copy()
    tenure = data.contract.features.index("tenure")
    moved[fold.test, tenure] += 1e6
    Folds(data.contract, type(rows)(moved, rows.y, rows.folds), SMOTE).predict(RECORDER, 0)
    assert seen[-1][0].max() < 1e5


def test_class_weights_balance_the_training_side_of_a_fold(seen: list, data: TrainingSet) -> None:
    Folds(data.contract, data.rows, BALANCED).predict(RECORDER, 0)
    _, y, weights = seen[-1]
    assert weights[y == 1].sum() == pytest.approx(weights[y == 0].sum())


@pytest.mark.parametrize("balance", [SMOTE, BALANCED])
def test_balancing_costs_calibration_which_is_why_it_is_off(balance: Balance, data: TrainingSet) -> None:
    plain, balanced = (out_of_fold(Folds(data.contract, data.rows, one), LOGISTIC) for one in (Balance(), balance))
    rate = data.rows.y.mean()
    assert abs(plain.mean() - rate) < 0.01
    assert balanced.mean() > rate + 0.08


STOPPING = {"early_stopping_rounds": 5, "n_estimators": 500, "learning_rate": 0.3}


@pytest.mark.parametrize("base", [XGBOOST, LIGHTGBM], ids=["xgboost", "lightgbm"])
@pytest.mark.parametrize(
    "steps", [(), (Step(estimator="sklearn.preprocessing.StandardScaler"),)], ids=["bare", "scaled"]
)
def test_a_booster_that_stops_early_is_fitted_anew_on_all_rows(
    base: Candidate, steps: tuple, data: TrainingSet
) -> None:
    one = msgspec.structs.replace(base, params=base.params | STOPPING, steps=steps)
    design = data.features.astype(np.float32)
    fitted = estimators.fit(one, design, data.y)
    rounds = fitted["model"].n_estimators
    assert 1 <= rounds < 200
    settled = {**one.params, "n_estimators": rounds}
    del settled["early_stopping_rounds"]
    plain = estimators.fit(msgspec.structs.replace(one, params=settled), design, data.y)
    assert np.array_equal(estimators.predict(fitted, design), estimators.predict(plain, design))


@pytest.mark.parametrize("base", [XGBOOST, LIGHTGBM], ids=["xgboost", "lightgbm"])
def test_the_graph_of_a_booster_that_stopped_early_says_the_same(base: Candidate, data: TrainingSet) -> None:
    one = msgspec.structs.replace(base, params=base.params | STOPPING)
    design = blanked(data).features.astype(np.float32)
    fitted = estimators.fit(one, design, data.y)
    assert difference(conversion.convert(fitted, design.shape[1]), fitted, design) <= 1e-6


def test_the_same_rows_give_the_same_estimator(data: TrainingSet) -> None:
    design = data.features.astype(np.float32)
    for one in (XGBOOST, LIGHTGBM, candidate("sklearn.ensemble.ExtraTreesClassifier", n_estimators=5)):
        first, second = (estimators.predict(estimators.fit(one, design, data.y), design) for _ in range(2))
        assert np.array_equal(first, second)


def test_a_word_of_the_candidate_goes_before_our_own() -> None:
    assert estimators.build(candidate("xgboost.XGBClassifier", random_state=9))["model"].random_state == 9
    assert estimators.build(candidate("xgboost.XGBClassifier"))["model"].random_state == 0


def test_steady_leaves_the_warnings_of_others_alone() -> None:
    before = list(warnings.filters)
    with estimators.steady():
        assert warnings.filters[0][0] == "ignore"
    assert warnings.filters == before
