from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from churn.domain import decision, metrics
from churn.domain.contract import Costs

COSTS = Costs()


@st.composite
def judged(draw) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes of both kinds and probabilities with many ties."""
    n = draw(st.integers(2, 60))
    y = np.array(draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=n, max_size=n)))
    assume(0 < y.sum() < n)
    levels = draw(st.sampled_from([2, 5, 1000]))
    p = np.array(draw(st.lists(st.integers(0, levels), min_size=n, max_size=n))) / levels
    return y, p


@given(judged())
def test_ranking_metrics_are_those_of_scikit_learn_ties_included(case: tuple) -> None:
    y, p = case
    assert metrics.roc_auc(y, p) == pytest.approx(oracle.roc_auc_score(y, p))
    assert metrics.pr_auc(y, p) == pytest.approx(oracle.average_precision_score(y, p))


@given(judged())
def test_losses_are_those_of_scikit_learn(case: tuple) -> None:
    y, p = case
    assert metrics.log_loss(y, p) == pytest.approx(oracle.log_loss(y, np.clip(p, 1e-7, 1 - 1e-7)))
    assert metrics.brier(y, p) == pytest.approx(oracle.brier_score_loss(y, p))
    assert metrics.log_losses(y, p).mean() == pytest.approx(metrics.log_loss(y, p))


@given(judged(), st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0]))
def test_decisions_are_measured_as_scikit_learn_does(case: tuple, threshold: float) -> None:
    y, p = case
    chosen = p >= threshold
    found = metrics.at_threshold(y, p, threshold)
    assert found["accuracy"] == pytest.approx(oracle.accuracy_score(y, chosen))
    assert found["precision"] == pytest.approx(oracle.precision_score(y, chosen, zero_division=0))
    assert found["recall"] == pytest.approx(oracle.recall_score(y, chosen))
    assert found["f1"] == pytest.approx(oracle.f1_score(y, chosen, zero_division=0))


@settings(deadline=None)
@given(judged(), st.randoms())
def test_no_metric_depends_on_the_order_of_rows(case: tuple, random) -> None:
    y, p = case
    order = list(range(len(y)))
    random.shuffle(order)
    first, second = (metrics.measure(y[rows], p[rows], 0.5, COSTS) for rows in (np.arange(len(y)), np.array(order)))
    assert first == pytest.approx(second)
    assert tuple(first) == metrics.NAMES


def test_one_outcome_has_no_ranking() -> None:
    p = np.array([0.1, 0.9, 0.5])
    for y in (np.zeros(3), np.ones(3)):
        assert np.isnan(metrics.roc_auc(y, p))
    assert np.isnan(metrics.pr_auc(np.zeros(3), p))
    assert np.isnan(metrics.lift(np.zeros(3), p))


def test_a_certain_error_costs_much_but_not_infinitely() -> None:
    assert metrics.log_loss(np.array([1.0]), np.array([0.0])) == pytest.approx(-np.log(1e-7))
    assert metrics.log_loss(np.array([0.0]), np.array([1.0])) == pytest.approx(-np.log(1e-7))


def test_calibration_groups_are_of_equal_size_where_predictions_differ() -> None:
    generator = np.random.default_rng(0)
    p = generator.random(1003)
    y = (generator.random(1003) < p).astype(float)
    mean, rate, share = metrics.calibration(y, p)
    assert len(mean) == 10
    assert np.abs(share * 1003 - 100.3).max() <= 1
    assert share.sum() == pytest.approx(1)
    assert (np.diff(mean) > 0).all()
    assert (share * mean).sum() == pytest.approx(p.mean())
    assert (share * rate).sum() == pytest.approx(y.mean())


def test_equal_predictions_share_a_calibration_group_whatever_the_order_of_outcomes() -> None:
    """A constant that is right on average is calibrated, also where leavers come first in the table."""
    y = np.repeat([1.0, 0.0], [26, 74])
    assert metrics.ece(y, np.full(100, 0.26)) == pytest.approx(0)
    mean, rate, share = metrics.calibration(y, np.full(100, 0.26))
    assert (mean, rate, share) == (pytest.approx([0.26]), pytest.approx([0.26]), pytest.approx([1.0]))


def test_fewer_rows_than_groups_are_groups_of_one() -> None:
    mean, rate, share = metrics.calibration(np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.7, 0.9]))
    assert (list(mean), list(rate)) == ([0.1, 0.7, 0.9], [0.0, 1.0, 1.0])
    assert list(share) == pytest.approx([1 / 3] * 3)


def test_calibration_error_is_the_mean_distance_between_said_and_seen() -> None:
    """Two groups of half the rows each: .2 said and .3 seen, .8 said and .6 seen."""
    p = np.repeat([0.2, 0.8], 10)
    y = np.array([1.0] * 3 + [0.0] * 7 + [1.0] * 6 + [0.0] * 4)
    assert metrics.ece(y, p, bins=2) == pytest.approx((0.1 + 0.2) / 2)


def test_lift_compares_the_highest_tenth_with_everybody() -> None:
    y = np.array([1.0] * 8 + [0.0] * 2 + [1.0] * 12 + [0.0] * 78)
    p = np.linspace(1, 0, 100)
    assert metrics.lift(y, p) == pytest.approx(0.8 / 0.2)
    assert metrics.lift(y, p, share=1.0) == pytest.approx(1)


def test_lift_takes_a_random_part_of_those_who_are_equal_at_the_edge() -> None:
    """The tenth is the five best, all leavers, and five of the 45 behind them, of whom a ninth leaves."""
    y = np.array([1.0] * 5 + [1.0] * 5 + [0.0] * 40 + [0.0] * 50)
    p = np.repeat([0.9, 0.5, 0.1], [5, 45, 50])
    expected = (5 + 5 / 9) / 10 / 0.1
    assert metrics.lift(y, p) == pytest.approx(expected)
    turned = np.concatenate([y[:5], y[5:50][::-1], y[50:]])
    assert metrics.lift(turned, p) == pytest.approx(expected)
    assert metrics.lift(y, np.full(100, 0.3)) == pytest.approx(1)


def test_metrics_take_profit_and_threshold_from_the_decision() -> None:
    y, p = np.array([1.0, 0.0, 1.0]), np.array([0.9, 0.8, 0.1])
    found = metrics.measure(y, p, 0.5, COSTS)
    assert found["expected_profit"] == decision.profit(y, p, 0.5, COSTS)
    assert found["threshold"] == 0.5


@pytest.mark.parametrize("rows", [200, 1000, 5000])
def test_calibrated_probabilities_exceed_what_chance_allows_as_often_as_it_says(rows: int) -> None:
    generator = np.random.default_rng(rows)
    exceeded = 0
    for _ in range(400):
        p = generator.beta(3, 5, rows)
        y = (generator.random(rows) < p).astype(float)
        exceeded += metrics.ece(y, p) > metrics.ece_by_chance(p, draws=500)
    assert 0.02 <= exceeded / 400 <= 0.09


def test_probabilities_that_are_far_off_exceed_what_chance_allows() -> None:
    generator = np.random.default_rng(3)
    p = generator.beta(3, 5, 300)
    y = (generator.random(300) < p**2).astype(float)
    assert metrics.ece(y, p) > metrics.ece_by_chance(p)
