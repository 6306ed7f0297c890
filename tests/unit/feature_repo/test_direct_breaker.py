from __future__ import annotations

import logging

import pytest

from feature_repo.direct.breaker import Breaker
from feature_repo.direct.errors import StoreAwayError

CAUSE = OSError("nobody there")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(failures=3, first=1, longest=10, clock=clock)


def fail(breaker: Breaker, times: int = 1) -> float:
    wait = 0.0
    for _ in range(times):
        wait = breaker.failed(breaker.enter(), CAUSE).retry_after
    return wait


def refused(breaker: Breaker) -> float:
    with pytest.raises(StoreAwayError) as away:
        breaker.enter()
    return away.value.retry_after


def test_some_failures_are_borne(breaker: Breaker) -> None:
    for _ in range(5):
        assert fail(breaker, 2) == 1
        breaker.succeeded(breaker.enter())
    assert not breaker.is_open


def test_too_many_in_a_row_open_it(breaker: Breaker, clock: Clock) -> None:
    assert fail(breaker, 3) == 1
    clock.now += 0.25
    assert refused(breaker) == 0.75


def test_one_trial_goes_through_at_a_time(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 1
    trial = breaker.enter()
    assert refused(breaker) == 0.1
    breaker.succeeded(trial)
    assert not breaker.is_open
    fail(breaker, 2)
    assert not breaker.is_open  # it counts anew


def test_each_trial_that_fails_doubles_the_wait_up_to_a_bound(breaker: Breaker, clock: Clock) -> None:
    waits = [fail(breaker, 3)]
    for _ in range(5):
        clock.now += waits[-1]
        waits.append(fail(breaker))
    assert waits == [1, 2, 4, 8, 10, 10]
    clock.now += 10
    breaker.succeeded(breaker.enter())
    assert fail(breaker, 3) == 1


def test_a_trial_that_was_given_up_makes_way_for_the_next(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 1
    breaker.abandoned(breaker.enter())
    breaker.succeeded(breaker.enter())
    assert not breaker.is_open


def test_calls_from_before_it_opened_change_nothing(breaker: Breaker, clock: Clock) -> None:
    early = [breaker.enter() for _ in range(9)]
    for ticket in early[:5]:
        assert breaker.failed(ticket, CAUSE).retry_after == 1
    breaker.succeeded(early[5])
    assert refused(breaker) == 1
    clock.now += 1
    trial = breaker.enter()
    breaker.failed(early[6], CAUSE)
    breaker.abandoned(early[7])
    breaker.succeeded(early[8])
    assert refused(breaker) == 0.1
    breaker.succeeded(trial)
    assert not breaker.is_open


def test_each_change_is_told_once(breaker: Breaker, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fail(breaker, 3)
    for _ in range(20):
        refused(breaker)
    clock.now += 1
    fail(breaker)
    clock.now += 2
    breaker.succeeded(breaker.enter())
    breaker.succeeded(breaker.enter())
    assert caplog.messages == [
        "the online store is away, reads fail at once until it is back: OSError: nobody there",
        "the online store answers again, after 3.0 s",
    ]
