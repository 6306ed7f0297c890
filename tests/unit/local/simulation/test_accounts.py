"""What a year is said to be worth."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest

from churn.domain.contract import Costs
from local.simulation import accounts
from local.simulation.accounts import Alarm, Month, Score, System, score, summary

COSTS = Costs(contact=5, value=200, success=0.3)
NOBODY = float("nan")


def month(number: int, profits: tuple[float, float, float] = (0, 0, 0), **changes: Any) -> Month:
    names: tuple[System, ...] = ("never", "blind", "ours")
    known: dict[str, Any] = {
        "month": number, "day": dt.date(2025, number, 1), "customers": 10, "leavers": 2, "refused": 0, "version": 1,
        "scores": {n: Score(auc=0.8, profit=p, contacted=1) for n, p in zip(names, profits, strict=True)},
        "as_of": dt.date(2025, number, 4), "retrained": False, "because": "", "outcome": "none", "reason": "",
        "promoted": None, "learned": (), "monitoring": "", "tasks": (),
    }  # fmt: skip
    return Month(**{**known, **changes})


def alarm(number: int) -> Alarm:
    return Alarm(number, dt.date(2025, number, 4), "drift", "drifted: tenure")


def test_profit_is_what_leavers_who_were_contacted_bring_less_every_contact() -> None:
    left, p = np.array([1.0, 1, 0, 0, 0]), np.array([0.9, 0.1, 0.8, 0.2, 0.3])
    found = score(left, p, np.array([True, False, True, True, False]), COSTS)
    assert found.profit == 0.3 * 200 - 3 * 5
    assert found.contacted == 3
    assert found.auc == pytest.approx(0.5)


def test_who_is_lost_from_sight_cost_a_contact_and_is_in_no_auc() -> None:
    left, p = np.array([1.0, 0, NOBODY]), np.array([0.9, 0.1, 0.95])
    found = score(left, p, np.array([True, False, True]), COSTS)
    assert found.profit == 60 - 10
    assert found.auc == 1.0


def test_a_leaver_without_an_answer_is_a_loss_that_nobody_makes() -> None:
    found = score(np.array([1.0, 0, 1]), np.array([NOBODY, 0.2, 0.4]), np.array([False, False, True]), COSTS)
    assert (found.profit, found.auc) == (55, 1.0)
    nobody = score(np.array([1.0, 0]), np.array([NOBODY, NOBODY]), np.zeros(2, np.bool_), COSTS)
    assert (nobody.profit, nobody.auc, nobody.contacted) == (0, None, 0)


def test_the_year_says_what_never_retraining_costs_and_what_is_kept_of_the_gain() -> None:
    found = summary([month(1, (50, 60, 50)), month(2, (30, 60, 65))], [], None, blind_retrainings=1)
    assert found.profit == {"never": 80, "blind": 120, "ours": 115}
    assert found.lost == pytest.approx(1 / 3)
    assert found.kept == pytest.approx(35 / 40)


def test_where_blind_retraining_gains_nothing_there_is_nothing_to_keep() -> None:
    found = summary([month(1, (50, 40, 50))], [], None, blind_retrainings=1)
    assert found.kept is None
    assert found.lost == pytest.approx(-0.25)
    assert summary([month(1, (-5, -3, 0))], [], None, blind_retrainings=1).lost is None


def test_what_was_seen_and_acted_upon_before_the_change_does_not_count() -> None:
    months = [
        month(1, retrained=True, promoted=2),
        month(2),
        month(3, retrained=True),
        month(4, retrained=True, promoted=3),
    ]
    found = summary(months, [alarm(1), alarm(3)], injected=2, blind_retrainings=3)
    assert found.injected == accounts.Moment(2, dt.date(2025, 2, 1))
    assert found.seen == accounts.Moment(3, dt.date(2025, 3, 4))
    assert found.acted == accounts.Moment(4, dt.date(2025, 4, 4))
    assert (found.retrainings, found.promotions, found.blind_retrainings) == (3, 2, 3)


def test_without_a_change_nothing_is_seen_or_acted_upon() -> None:
    found = summary([month(1, retrained=True, promoted=2)], [alarm(1)], None, blind_retrainings=0)
    assert (found.injected, found.seen, found.acted) == (None, None, None)
    blind = summary([month(1), month(2)], [], injected=1, blind_retrainings=0)
    assert (blind.seen, blind.acted) == (None, None)
