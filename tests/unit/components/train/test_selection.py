from __future__ import annotations

import time
from contextlib import closing

import numpy as np
import pytest

from churn.domain import metrics
from churn.domain.contract import Candidate
from churn.domain.partition import Fold
from components.train import selection
from components.train.data import TrainingSet
from components.train.estimators import Balance
from components.train.selection import CandidateResult, Folds, Judged, Rows, Spread
from tests import training
from tests.training import LOGISTIC, RECORDER, XGBOOST


def judged(name: str, mean: float, std: float = 0.1, metric: str = "log_loss") -> Judged:
    return Judged(Candidate(name=name), np.array([]), {metric: Spread(mean, std)}, 0.5)


def chosen(*candidates: Judged, metric: str = "log_loss", folds: int = 4) -> str:
    return selection.choose(training.telco(metric=metric), candidates, folds).candidate.name


def test_the_first_within_one_standard_error_of_the_best_is_chosen() -> None:
    """The best has .40 with a deviation of .02 over 4 folds: .41 is as good, .411 is not."""
    best = judged("best", 0.40, 0.02)
    assert chosen(judged("close", 0.41), best) == "close"
    assert chosen(judged("worse", 0.411), best) == "best"
    assert chosen(best, judged("close", 0.41)) == "best"


def test_the_error_that_counts_is_the_best_candidates_own() -> None:
    assert chosen(judged("noisy", 0.45, 9.0), judged("best", 0.40, 0.02)) == "best"


def test_of_a_metric_that_rises_the_highest_is_best() -> None:
    low, high = judged("low", 0.80, 0.01, "roc_auc"), judged("high", 0.85, 0.01, "roc_auc")
    assert chosen(low, high, metric="roc_auc") == "high"
    assert chosen(judged("near", 0.846, 0.01, "roc_auc"), high, metric="roc_auc") == "near"


def test_every_row_that_a_fold_judges_is_predicted_by_a_model_that_has_not_seen_it(folds: Folds) -> None:
    """A model that has seen a row's outcome would notice that it was turned round."""
    rows = folds.rows
    before = selection.out_of_fold(folds, XGBOOST)
    fold = rows.folds[2]
    turned = rows.y.copy()
    turned[fold.test] = 1 - turned[fold.test]
    after = selection.out_of_fold(
        Folds(folds.contract, Rows(rows.features, turned, rows.folds), folds.balance), XGBOOST
    )
    assert np.array_equal(before[fold.test], after[fold.test])
    assert not np.array_equal(before[fold.train], after[fold.train])


def test_the_preparation_of_a_fold_learns_nothing_from_the_rows_it_judges(folds: Folds) -> None:
    rows = folds.rows
    fold = rows.folds[0]
    moved = rows.features.copy()
    moved[fold.test] = np.nan
    again = Folds(folds.contract, Rows(moved, rows.y, rows.folds), folds.balance)
    assert np.array_equal(folds._designs[0, True][0], again._designs[0, True][0], equal_nan=True)


def test_folds_come_in_order_and_those_not_begun_are_left_out_when_enough_is_seen(folds: Folds, monkeypatch) -> None:
    begun: list[int] = []

    class Slow(Folds):
        def predict(self, candidate: Candidate, number: int) -> np.ndarray:
            begun.append(number)
            time.sleep(2 * number)  # the second is still at work when the first has been seen
            return super().predict(candidate, number)

    monkeypatch.setattr("os.cpu_count", lambda: 1)
    slow = Slow(folds.contract, folds.rows, folds.balance)
    with closing(slow.in_turn(RECORDER)) as judging:
        fold, p = next(judging)
        assert fold is folds.rows.folds[0]
        assert len(p) == len(fold.test)
    assert begun in ([0], [0, 1])


def test_metrics_of_a_candidate_are_means_and_deviations_over_the_folds(folds: Folds) -> None:
    rows = folds.rows
    found = selection.judge(folds.contract, rows, LOGISTIC, selection.out_of_fold(folds, LOGISTIC))
    by_fold = [metrics.log_loss(rows.y[fold.test], found.oof[fold.test]) for fold in rows.folds]
    assert found.cv["log_loss"].mean == pytest.approx(np.mean(by_fold))
    assert found.cv["log_loss"].std == pytest.approx(np.std(by_fold, ddof=1))
    assert set(found.cv) == set(metrics.NAMES)
    assert found.error("log_loss", 5) == pytest.approx(np.std(by_fold, ddof=1) / 5**0.5)


def test_a_row_that_no_fold_judges_has_no_prediction(data: TrainingSet) -> None:
    rows = data.rows
    fewer = Rows(rows.features, rows.y, [Fold(fold.train, fold.test[::2]) for fold in rows.folds])
    oof = selection.out_of_fold(Folds(data.contract, fewer, Balance()), XGBOOST)
    assert np.array_equal(np.isnan(oof), fewer.fold < 0)
    assert np.isnan(oof).any()


def test_results_say_who_was_chosen_and_why_others_were_not_there() -> None:
    first, second = judged("first", 0.4), judged("second", 0.5)
    found = selection.results([first, second], first, {"second": "judged as a member only", "third": "left out: no"})
    assert found == [
        CandidateResult(name="first", chosen=True, cv=first.cv),
        CandidateResult(name="second", cv=second.cv, note="judged as a member only"),
        CandidateResult(name="third", note="left out: no"),
    ]


def test_the_digest_of_rows_changes_with_all_that_a_metric_depends_on(data: TrainingSet) -> None:
    rows = data.rows
    features, y = rows.features.copy(), rows.y.copy()
    features[7, 3] += 1e-9
    y[7] = 1 - y[7]
    changed = [
        rows,
        Rows(features, rows.y, rows.folds),
        Rows(rows.features, y, rows.folds),
        Rows(rows.features, rows.y, rows.folds[1:]),
    ]
    digests = [one.digest for one in changed]
    assert len(set(digests)) == len(digests)
    assert rows.digest == Rows(rows.features.copy(), rows.y.copy(), list(rows.folds)).digest
