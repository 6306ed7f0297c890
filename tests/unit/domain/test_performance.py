"""Predictions against outcomes: who is judged, when, and with what interval."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest

from churn.domain import metrics, performance
from churn.domain.contract import Costs
from churn.domain.performance import DAY_US, LEAVER, PENDING, STAYER, UNKNOWN, Predictions, against_promotion, by_week

MONDAY = 20_514 * DAY_US
"""2026-03-02."""


def predictions(rows: int, **changes: Any) -> Predictions:
    values: dict[str, Any] = {
        "at": np.full(rows, MONDAY), "version": np.ones(rows, np.int64), "probability": np.full(rows, 0.5),
        "contacted": np.ones(rows, np.bool_), "left_at": np.full(rows, UNKNOWN), "stayed_until": np.full(rows, UNKNOWN),
    }  # fmt: skip
    return Predictions(**{**values, **changes})


def days(*values: float | None) -> np.ndarray:
    """Times by days after the prediction."""
    return np.array([UNKNOWN if value is None else MONDAY + round(value * DAY_US) for value in values], np.int64)


@pytest.mark.parametrize(
    ("left", "known", "expected"),
    [
        (10, 30, LEAVER),
        (30, 30, LEAVER),
        (10, 10, LEAVER),
        (30.001, 31, STAYER),
        (None, 30, STAYER),
        (None, 29.999, PENDING),
        (None, None, PENDING),
        (0, 30, PENDING),
        (-5, 30, PENDING),
        (0.0001, 30, LEAVER),
    ],
)
def test_who_left_within_the_horizon_is_a_leaver_and_who_is_known_for_all_of_it_a_stayer(
    left: float | None, known: float | None, expected: int
) -> None:
    asked = predictions(2, left_at=days(left, None), stayed_until=days(known, 60))
    assert performance.states(asked, 30, MONDAY + 60 * DAY_US).tolist() == [expected, STAYER]


@pytest.mark.parametrize(
    ("left", "stayed", "expected"),
    [(25, 0, LEAVER), (40, 30, STAYER), (40, 29, PENDING), (40, None, PENDING), (29, None, LEAVER)],
)
def test_who_left_at_a_time_nobody_knows_is_judged_where_that_is_the_same(
    left: float, stayed: float | None, expected: int
) -> None:
    others = [10.0] * 20
    asked = predictions(22, left_at=days(left, *others, None), stayed_until=days(stayed, *others, 60))
    assert performance.states(asked, 30, MONDAY + 60 * DAY_US).tolist() == [expected, *[LEAVER] * 20, STAYER]


@pytest.mark.parametrize(("undated", "judged"), [(1, True), (2, True), (3, False), (20, False)])
def test_a_day_whose_leavers_are_mostly_without_a_date_is_not_judged(undated: int, judged: bool) -> None:
    """Otherwise the stayers alone would be."""
    dated = 20 - undated
    asked = predictions(
        41,
        at=days(*[0] * 40, 1),
        left_at=days(*[50] * undated, *[10] * dated, *[None] * 21),
        stayed_until=days(*[None] * undated, *[10] * dated, *[60] * 21),
    )
    first = [LEAVER] * dated + [STAYER] * 20 if judged else [PENDING] * (dated + 20)
    assert performance.states(asked, 30, MONDAY + 60 * DAY_US).tolist() == [*[PENDING] * undated, *first, STAYER]


def test_nobody_is_judged_before_the_horizon_has_passed() -> None:
    asked = predictions(2, left_at=days(3, None), stayed_until=days(40, 40))
    for at, expected in ((29.99, [PENDING, PENDING]), (30, [LEAVER, STAYER])):
        assert performance.states(asked, 30, MONDAY + round(at * DAY_US)).tolist() == expected


def test_nobody_is_judged_later_than_stayers_are_known() -> None:
    """Outcomes that lag: who leaves is known at once, who stays only with the next export."""
    asked = predictions(3, at=days(0, 0, 10), left_at=days(3, None, 12), stayed_until=days(3, 35, 12))
    assert performance.states(asked, 30, MONDAY + 90 * DAY_US).tolist() == [LEAVER, STAYER, PENDING]
    alone = predictions(1, left_at=days(3), stayed_until=days(90))
    assert performance.states(alone, 30, MONDAY + 90 * DAY_US).tolist() == [PENDING]


def test_weeks_begin_on_mondays() -> None:
    at = np.array([MONDAY - 1, MONDAY, MONDAY + 7 * DAY_US - 1, MONDAY + 7 * DAY_US])
    assert (performance.weeks(at) * DAY_US - MONDAY).tolist() == [-7 * DAY_US, 0, 0, 7 * DAY_US]


def test_figures_are_those_of_the_metrics_and_lie_in_their_intervals() -> None:
    random = np.random.default_rng(1)
    p = random.beta(2, 5, 3000).round(2)
    y = random.random(3000) < p
    asked = predictions(3000, probability=p, contacted=p >= 0.3)
    state = np.where(y, LEAVER, STAYER).astype(np.int8)
    total, week = by_week(asked, state, Costs())
    assert (total.week, week.week) == (None, dt.date(2026, 3, 2))
    assert total.auc is not None
    assert total.brier is not None
    assert total.auc.value == pytest.approx(metrics.roc_auc(y.astype(float), p))
    assert total.brier.value == pytest.approx(metrics.brier(y.astype(float), p))
    for one in (total.auc, total.brier, total.calibration, total.profit):
        assert one is not None
        assert one.low < one.value < one.high
    assert 0.005 < (total.auc.high - total.auc.low) / 4 < 0.02  # DeLong's deviation is about .01 here


def test_the_weighted_area_is_the_area_of_the_repeated_rows() -> None:
    random = np.random.default_rng(2)
    y, p = (random.random(60) < 0.4).astype(float), random.random(60).round(1)
    weights = random.multinomial(60, np.full(60, 1 / 60), 5)
    expected = [metrics.roc_auc(np.repeat(y, drawn), np.repeat(p, drawn)) for drawn in weights]
    assert performance._weighted_auc(y, p, weights) == pytest.approx(expected)


def test_where_all_stayed_there_is_no_area_and_the_rest_is_there() -> None:
    [total, _] = by_week(predictions(50), np.full(50, STAYER, np.int8), Costs())
    assert total.auc is None
    assert total.profit is not None
    assert total.profit.value == -10.0


def test_versions_and_weeks_are_told_apart_and_pending_ones_counted() -> None:
    asked = predictions(4, version=np.array([1, 1, 2, 2]), at=days(0, 7, 0, 0))
    found = by_week(asked, np.array([STAYER, PENDING, LEAVER, PENDING], np.int8), Costs())
    assert [(one.version, one.week and one.week.day, one.judged, one.pending) for one in found] == [
        (1, None, 1, 1), (2, None, 1, 1), (1, 2, 1, 0), (1, 9, 0, 1), (2, 2, 1, 1),
    ]  # fmt: skip


def test_no_predictions_give_no_periods() -> None:
    assert by_week(predictions(0), np.empty(0, np.int8), Costs()) == ()


def test_a_version_that_falls_short_of_its_promotion_is_worse_and_one_by_chance_is_not() -> None:
    random = np.random.default_rng(3)
    p = random.random(2000)
    y = random.random(2000) < p
    [total, _] = by_week(predictions(2000, probability=p), np.where(y, LEAVER, STAYER).astype(np.int8), Costs())
    assert total.auc is not None
    assert total.profit is not None
    honest = {"roc_auc": total.auc.value + 0.01, "brier": 0.167, "expected_profit": total.profit.value}
    assert not any(one.worse for one in against_promotion((total,), {1: honest}))
    boasted = {"roc_auc": 0.95, "brier": 0.05, "expected_profit": 3 * abs(total.profit.value)}
    assert all(one.worse for one in against_promotion((total,), {1: boasted}))
    assert against_promotion((total,), {2: boasted}) == ()


def test_too_few_outcomes_are_not_held_against_anybody() -> None:
    state = np.where(np.arange(199) % 2, LEAVER, STAYER).astype(np.int8)
    periods = by_week(predictions(199), state, Costs())
    assert against_promotion(periods, {1: {"roc_auc": 0.99}}) == ()
    few = np.where(np.arange(1000) < 19, LEAVER, STAYER).astype(np.int8)
    assert against_promotion(by_week(predictions(1000), few, Costs()), {1: {"roc_auc": 0.99}}) == ()


def test_the_latest_are_the_four_weeks_whose_horizon_has_passed_last() -> None:
    at = days(0, 1, 15, 28, 29)
    asked = predictions(5, at=at, stayed_until=days(*[90] * 5), version=np.array([2, 1, 1, 1, 1]))
    as_of = MONDAY + 58 * DAY_US
    state = performance.states(asked, 30, as_of)
    [latest] = performance.latest(asked, state, Costs(), 30, as_of)
    assert (latest.version, latest.predictions, latest.judged, latest.week) == (1, 3, 3, None)
