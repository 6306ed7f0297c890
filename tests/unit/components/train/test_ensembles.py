from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from churn.domain.contract import Candidate
from churn.domain.graph import Graph
from components.train import ensembles, fitting, selection
from components.train.data import TrainingSet
from components.train.estimators import Balance
from components.train.selection import Folds, Judged
from tests.training import FOREST, LIGHTGBM, LOGISTIC, XGBOOST

MEMBERS = (XGBOOST, LOGISTIC, FOREST, LIGHTGBM)


def ensemble(kind: str) -> Candidate:
    return Candidate(name=kind, ensemble=kind, members=tuple(one.name for one in MEMBERS))


@pytest.fixture(scope="module")
def members(folds: Folds) -> list[Judged]:
    return [selection.judge(folds.contract, folds.rows, one, selection.out_of_fold(folds, one)) for one in MEMBERS]


@pytest.fixture(scope="module")
def oof(members: list[Judged]) -> np.ndarray:
    return np.column_stack([one.oof for one in members])


def test_a_vote_is_the_mean_of_its_members(oof: np.ndarray, folds: Folds) -> None:
    found = ensembles.out_of_fold(ensemble("vote"), folds.rows.y, oof, folds.rows.fold)
    assert found == pytest.approx(oof.mean(axis=1))


def test_a_weighted_vote_trusts_the_more_skilled_and_ignores_the_useless() -> None:
    generator = np.random.default_rng(0)
    truth = generator.uniform(0.05, 0.95, 2000)
    y = (generator.random(2000) < truth).astype(float)
    useless = generator.uniform(0.05, 0.95, 2000)
    blurred = 0.5 * truth + 0.5 * y.mean()
    weights = ensembles.blend(ensemble("weighted"), y, np.column_stack([truth, blurred, useless])).weights
    assert sum(weights) == pytest.approx(1)
    assert weights[0] > weights[1] > 0.2
    assert weights[2] < 1e-6


def test_a_stack_is_the_logistic_regression_of_the_log_odds(oof: np.ndarray, folds: Folds) -> None:
    y = folds.rows.y
    found = ensembles.blend(ensemble("stack"), y, oof)
    odds = ensembles.logits(oof)

    def loss(x: np.ndarray) -> float:
        z = odds @ x[:-1] + x[-1]
        return float(np.sum(np.logaddexp(0, z) - y * z) + x[:-1] @ x[:-1] / (2 * 10.0))

    best = minimize(loss, np.zeros(len(MEMBERS) + 1)).x
    assert found.weights == pytest.approx(best[:-1], abs=0.01)
    assert found.bias == pytest.approx(best[-1], abs=0.01)


def test_a_blend_is_judged_on_rows_it_has_not_learned_from(oof: np.ndarray, folds: Folds) -> None:
    rows = folds.rows
    fold = rows.folds[1]
    turned = rows.y.copy()
    turned[fold.test] = 1 - turned[fold.test]
    for kind in ("weighted", "stack"):
        before, after = (ensembles.out_of_fold(ensemble(kind), y, oof, rows.fold) for y in (rows.y, turned))
        assert np.array_equal(before[fold.test], after[fold.test])
        assert not np.array_equal(before[fold.train], after[fold.train])


@pytest.mark.parametrize("kind", ["vote", "weighted", "stack"])
def test_an_ensemble_is_one_graph_that_agrees_with_its_fitted_members(
    kind: str, members: list[Judged], folds: Folds, data: TrainingSet
) -> None:
    judged = selection.ensemble(folds.contract, folds.rows, ensemble(kind), members)
    model = fitting.fit(folds.contract, folds.rows, judged, members, Balance())
    probability, fault = Graph(model.graph.SerializeToString()).run(data.columns)
    assert np.abs(probability - model.predict(data.features)).max() <= 1e-5
    assert not fault.any()
    assert probability.shape == (len(data.y),)
    assert model.null_parity(data.columns) <= 1e-5


def test_members_that_are_sure_of_everything_do_not_part_a_stack_from_its_graph(
    folds: Folds, data: TrainingSet
) -> None:
    """Where a member says 0 or 1, log-odds would magnify what float32 has rounded by a million."""
    sure = [
        Candidate(name="a", estimator="sklearn.ensemble.RandomForestClassifier", params={"n_estimators": 5}),
        Candidate(name="b", estimator=XGBOOST.estimator, params={"n_estimators": 300, "learning_rate": 0.6}),
        Candidate(name="c", estimator=LIGHTGBM.estimator, params={"n_estimators": 300, "learning_rate": 0.6}),
    ]
    members = [selection.judge(folds.contract, folds.rows, one, selection.out_of_fold(folds, one)) for one in sure]
    stack = Candidate(name="stack", ensemble="stack", members=("a", "b", "c"))
    judged = selection.ensemble(folds.contract, folds.rows, stack, members)
    model = fitting.fit(folds.contract, folds.rows, judged, members, Balance())
    own = np.column_stack(
        [fitting.Model(folds.contract, judged, (part,)).predict(data.features) for part in model.parts]
    )
    assert (own > 1 - 1e-5).any()
    assert (
        np.abs(Graph(model.graph.SerializeToString()).run(data.columns)[0] - model.predict(data.features)).max() <= 1e-5
    )
