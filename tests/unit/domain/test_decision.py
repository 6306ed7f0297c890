from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn.domain import contract, decision
from churn.domain.contract import Costs

COSTS = Costs(contact=10, value=200, success=0.3)
CONTRACT = contract.parse(
    """
name: small
target: {column: churn, positive: 1}
columns: {tenure: {type: integer}}
recommendations: {low: nothing, medium: watch, high: call}
"""
)

rows = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        st.lists(st.sampled_from([0.0, 1.0]), min_size=n, max_size=n),
        st.lists(st.integers(0, 8).map(lambda i: i / 8), min_size=n, max_size=n),
    )
)


def test_a_contacted_leaver_is_worth_the_chance_of_success_and_everyone_contacted_costs() -> None:
    y, chosen = np.array([1.0, 0.0, 1.0, 0.0]), np.array([True, True, False, False])
    assert list(decision.profits(y, chosen, COSTS)) == [0.3 * 200 - 10, -10, 0, 0]
    assert decision.profit(y, np.array([0.9, 0.5, 0.4, 0.1]), 0.5, COSTS) == pytest.approx((50 - 10) / 4)


@given(rows)
def test_the_profit_curve_is_the_profit_at_each_score(case: tuple) -> None:
    y, p = map(np.array, case)
    thresholds, profit = decision.profit_curve(y, p, COSTS)
    assert list(thresholds) == sorted(set(p))
    assert profit == pytest.approx([decision.profit(y, p, threshold, COSTS) for threshold in thresholds])


@given(rows)
def test_no_threshold_pays_more_than_the_best(case: tuple) -> None:
    y, p = map(np.array, case)
    best = decision.best_threshold(y, p, COSTS)
    at_best = decision.profit(y, p, best, COSTS)
    assert all(at_best >= decision.profit(y, p, other, COSTS) - 1e-9 for other in [*p, 0.0])
    assert at_best >= 0 or best == 1.0


def test_where_contacting_anyone_loses_money_the_threshold_is_one() -> None:
    y, p = np.array([0.0, 0.0, 1.0]), np.array([0.2, 0.3, 0.1])
    assert decision.best_threshold(y, p, Costs(contact=100, value=200, success=0.3)) == 1.0


def test_the_best_threshold_of_honest_probabilities_is_the_price_of_a_contact() -> None:
    """A contact pays when probability x success x value exceeds its cost: here from 10 / 60 on."""
    generator = np.random.default_rng(2)
    p = generator.random(200_000)
    y = (generator.random(200_000) < p).astype(float)
    assert decision.best_threshold(y, p, COSTS) == pytest.approx(1 / 6, abs=0.02)


@pytest.mark.parametrize(
    ("p", "level"), [(0.0, "low"), (0.2999, "low"), (0.3, "medium"), (0.5999, "medium"), (0.6, "high"), (1.0, "high")]
)
def test_risk_levels_begin_at_their_bounds(p: float, level: str) -> None:
    assert decision.risk(p, (0.3, 0.6)) == level


def test_confidence_is_the_probability_of_the_likelier_outcome() -> None:
    assert [decision.confidence(p) for p in (0.1, 0.5, 0.75)] == [0.9, 0.5, 0.75]


def test_recommendations_are_the_contracts_words() -> None:
    assert [decision.recommendation(CONTRACT, level) for level in ("low", "medium", "high")] == [
        "nothing",
        "watch",
        "call",
    ]


BY_REASON = contract.parse(
    """
name: small
target: {column: churn, positive: 1}
columns: {tenure: {type: integer}, plan: {type: category, categories: [a, b]}}
recommendations:
  low: nothing
  medium: {default: watch}
  high: {default: call, by_reason: {plan: offer another plan}}
"""
)


def test_a_recommendation_may_follow_the_strongest_reason() -> None:
    assert decision.recommendation(BY_REASON, "high", "plan") == "offer another plan"
    assert decision.recommendation(BY_REASON, "high", "tenure") == "call"
    assert decision.recommendation(BY_REASON, "high", None) == decision.recommendation(BY_REASON, "high") == "call"
    assert decision.recommendation(BY_REASON, "medium", "plan") == "watch"
    assert decision.recommendation(BY_REASON, "low", "plan") == "nothing"


def test_it_is_known_whether_a_level_of_risk_asks_for_the_strongest_reason() -> None:
    asks = {level: bool(BY_REASON.advice(level).by_reason) for level in ("low", "medium", "high")}
    assert asks == {"low": False, "medium": False, "high": True}


def test_the_rules_survive_being_written_and_read() -> None:
    assert contract.parse(BY_REASON.to_yaml()) == BY_REASON
