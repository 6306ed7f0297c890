"""Decisions and what came of them, on both databases."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from churn.domain.errors import UserError
from churn.stores import retrainings
from churn.stores.retrainings import Result, Retraining

MARCH = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
APRIL = MARCH.replace(month=4)
QUIET = Retraining(
    model="shop", as_of=MARCH, run="r1", version=3, retrain=False, because="not retrained: nothing has changed"
)
DRIFTED = Retraining(
    model="shop", as_of=APRIL, run="r2", version=3, retrain=True, because="spend has drifted", since=MARCH,
    outcome="running",
)  # fmt: skip


def test_a_decision_comes_back_as_it_was_written(url: str) -> None:
    for one in (QUIET, DRIFTED):
        retrainings.decide(url, one)
    assert retrainings.every(url, "shop") == [DRIFTED, QUIET]
    assert retrainings.of_run(url, "shop", "r1") == QUIET
    assert retrainings.of_run(url, "shop", "r3") is None
    assert retrainings.every(url, "other") == []


def test_the_same_time_again_takes_the_place_of_the_former(url: str) -> None:
    retrainings.decide(url, QUIET)
    again = Retraining(model="shop", as_of=MARCH, run="r9", version=3, retrain=True, because="asked for")
    retrainings.decide(url, again)
    assert retrainings.every(url, "shop") == [again]


def test_what_came_of_it_is_written_beside_it(url: str) -> None:
    retrainings.decide(url, DRIFTED)
    retrainings.conclude(url, "shop", "r2", Result("promoted", "better than version 3", 4))
    (found,) = retrainings.every(url, "shop")
    assert (found.outcome, found.reason, found.new_version) == ("promoted", "better than version 3", 4)
    with pytest.raises(UserError, match="no such retraining"):
        retrainings.conclude(url, "shop", "r3", Result("refused", "worse"))


def test_the_latest_that_gave_a_model_is_an_earlier_one(url: str) -> None:
    for one in (QUIET, DRIFTED):
        retrainings.decide(url, one)
    later = APRIL + dt.timedelta(seconds=1)
    assert retrainings.latest(url, "shop", later) == [], "it goes on"
    retrainings.conclude(url, "shop", "r2", Result("refused", "worse"))
    assert retrainings.latest(url, "shop", APRIL) == []
    assert [one.run for one in retrainings.latest(url, "shop", later)] == ["r2"]
    retrainings.conclude(url, "shop", "r2", Result("failed", "no end"))
    assert retrainings.latest(url, "shop", later) == []


def test_a_run_that_goes_on_is_not_written_over_by_another_of_the_same_time(url: str) -> None:
    retrainings.decide(url, DRIFTED)
    retrainings.decide(url, DRIFTED)
    other = msgspec.structs.replace(QUIET, as_of=APRIL)
    with pytest.raises(UserError, match="as of the same time is under way"):
        retrainings.decide(url, other)
    assert retrainings.every(url, "shop") == [DRIFTED]
    retrainings.give_up(url, "shop", but="r2")
    assert retrainings.every(url, "shop") == [DRIFTED]
    retrainings.give_up(url, "shop", but="r1")
    assert [one.outcome for one in retrainings.every(url, "shop")] == ["failed"]
    retrainings.decide(url, other)
    assert retrainings.every(url, "shop") == [other]
