from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest

from churn.domain.contract import Costs
from churn.domain.performance import DAY_US, UNKNOWN, Predictions
from churn.domain.rollout import evidence
from churn.domain.rollout.bounds import Bounds, Live
from churn.domain.rollout.evidence import Evidence, Rules
from churn.domain.rollout.sequential import Interval
from churn.domain.rollout.verdict import Pair, Sides, verdict

SIDES = Sides(champion=1, challenger=2, share=0.5, mode="split")
FINE = Live(1000, 0, ((0.001, 1000.0), (float("inf"), 1000.0)))
BROKEN = Live(1000, 500, FINE.buckets)
RULES = Rules(Costs(contact=10, value=200, success=0.3), 30, 0.05)
START = 20_000 * DAY_US
LATER = START + 60 * DAY_US


def known(mean: float, low: float, high: float, **changes: Any) -> Evidence:
    profit = Interval(mean, low, high, 500)
    return Evidence(**{"customers": 600, "challenged": 300, "judged": 500, "pending": 100, "profit": profit, **changes})


def told(found: Evidence, *live: Live, silence: str = "", sides: Sides = SIDES) -> tuple[str, str]:
    pairs = tuple(Pair(one, FINE) for one in live)
    what = verdict(sides, found, pairs, silence, Bounds())
    return what.action, what.reason


def test_more_profit_beyond_chance_promotes() -> None:
    action, reason = told(known(2.0, 0.5, 3.5), FINE)
    assert (action, reason) == (
        "promote",
        "version 2 is promoted: it brings 2.00 more a customer than version 1 (+0.50 to +3.50, by 500 outcomes)",
    )


def test_less_profit_beyond_chance_rolls_back_even_without_figures() -> None:
    for live, silence in (((FINE,), ""), ((), "Prometheus is away")):
        action, reason = told(known(-2.0, -3.5, -0.5), *live, silence=silence)
        assert action == "roll back"
        assert "brings 2.00 less a customer" in reason


def test_what_may_be_chance_waits() -> None:
    action, reason = told(known(2.0, -0.5, 4.5), FINE)
    assert action == "wait"
    assert reason.endswith("by 500 outcomes), which may be chance")


@pytest.mark.parametrize("live", [(BROKEN,), (BROKEN, FINE), (FINE, BROKEN)])
def test_bounds_exceeded_in_any_window_roll_back_whatever_the_profit(live: tuple[Live, ...]) -> None:
    assert told(known(2.0, 0.5, 3.5), *live)[0] == "roll back"
    action, reason = told(Evidence(customers=0, challenged=0, judged=0, pending=0), *live)
    assert (action, reason) == (
        "roll back", "version 2 is rolled back: 50.0% of 1,000 requests failed, more than 10.0%"
    )  # fmt: skip


def test_nobody_is_promoted_whose_errors_and_latency_are_not_known() -> None:
    assert told(known(2.0, 0.5, 3.5), silence="Prometheus is away")[1].endswith("but Prometheus is away")
    action, reason = told(known(2.0, 0.5, 3.5), Live(50, 0, FINE.buckets))
    assert action == "wait"
    assert "50 requests of the new version are too few" in reason


def test_without_predictions_and_without_outcomes_it_waits_and_says_for_what() -> None:
    action, reason = told(Evidence(customers=0, challenged=0, judged=0, pending=0), FINE)
    assert (action, "no prediction of a customer with an id" in reason) == ("wait", True)
    due = int(dt.datetime(2026, 3, 1, tzinfo=dt.UTC).timestamp() * 1e6)
    none = Evidence(customers=1200, challenged=600, judged=0, pending=1200, first_due=due)
    assert told(none, FINE)[1].endswith("of 1,200 customers none has an outcome; the first can have one on 2026-03-01")


def test_a_challenger_that_has_everybody_leaves_nobody_to_compare_with() -> None:
    everybody = Sides(champion=1, challenger=2, share=1.0, mode="split")
    assert "none of version 1" in told(known(0, 0, 0, profit=None), FINE, sides=everybody)[1]


def test_a_challenger_that_gets_nobody_any_more_is_not_compared() -> None:
    """A share of nobody can only be written by hand; what was logged before it was is still there."""
    first, challenged = customers(100)
    found = evidence.split(first, challenged, 0.0, RULES, LATER)
    assert (found.judged, found.misdivided, found.profit) == (100, False, None)
    nobody = Sides(champion=1, challenger=2, share=0.0, mode="split")
    assert told(found, FINE, sides=nobody) == ("wait", "version 2 is not judged yet: it gets no customers")


def test_groups_that_are_not_as_they_should_be_are_not_compared() -> None:
    action, reason = told(known(2.0, 0.5, 3.5, misdivided=True, challenged=200), FINE)
    assert action == "wait"
    assert "200 of 600 met it instead of 50.0%" in reason


def customers(count: int, seed: int = 0, **changes: Any) -> tuple[Predictions, np.ndarray]:
    """Half of them meet the challenger, whose contacts are the leavers; the champion contacts anybody."""
    random = np.random.default_rng(seed)
    at = START + np.arange(count) * 1_000_000
    leaves, challenged = random.random(count) < 0.4, random.random(count) < 0.5
    contacted = np.where(challenged, leaves, random.random(count) < 0.4)
    given = {
        "at": at,
        "version": np.where(challenged, 2, 1),
        "probability": np.where(contacted, 0.8, 0.2),
        "contacted": contacted,
        "left_at": np.where(leaves, at + DAY_US, UNKNOWN),
        "stayed_until": np.full(count, LATER),
    }
    return Predictions(**{**given, **changes}), challenged


def test_customers_of_two_groups_are_judged_once_their_horizon_has_passed() -> None:
    first, challenged = customers(3000)
    early = evidence.split(first, challenged, 0.5, RULES, START + 29 * DAY_US)
    assert (early.judged, early.pending, early.profit, early.first_due) == (0, 3000, None, START + 30 * DAY_US)
    late = evidence.split(first, challenged, 0.5, RULES, LATER)
    assert (late.customers, late.judged, late.misdivided) == (3000, 3000, False)
    assert late.profit is not None
    assert late.brier is not None
    assert late.profit.low > 0
    assert late.brier.low > 0


def test_who_had_left_before_is_no_customer_and_unknown_outcomes_are_pending() -> None:
    first, challenged = customers(10, left_at=np.full(10, START - 1), stayed_until=np.full(10, LATER))
    assert evidence.split(first, challenged, 0.5, RULES, LATER).customers == 0
    first, challenged = customers(10, left_at=np.full(10, UNKNOWN), stayed_until=np.full(10, UNKNOWN))
    found = evidence.split(first, challenged, 0.5, RULES, LATER)
    assert (found.customers, found.judged, found.pending) == (10, 0, 10)


def test_a_group_that_lacks_its_customers_is_noticed() -> None:
    first, challenged = customers(3000)
    assert evidence.split(first, challenged & (np.arange(3000) % 3 > 0), 0.5, RULES, LATER).misdivided


def test_shadows_are_held_against_the_answers_to_the_same_customers() -> None:
    answers, _ = customers(400, contacted=np.zeros(400, np.bool_))
    leaves = answers.left_at != UNKNOWN
    shadows, _ = customers(400, contacted=leaves, probability=np.where(leaves, 0.9, 0.1))
    found = evidence.shadow(answers, shadows, RULES, LATER)
    assert found.profit is not None
    assert found.profit.mean == pytest.approx(50 * leaves.mean())
    assert found.profit.low > 0
    same = evidence.shadow(answers, answers, RULES, LATER)
    assert same.profit is not None
    assert (same.profit.mean, same.profit.low < 0 < same.profit.high) == (0, True)
    assert evidence.shadow(answers, shadows, RULES, START).profit is None
