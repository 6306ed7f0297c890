from __future__ import annotations

import math

import pytest

from churn.domain.rollout.bounds import FEWEST_REQUESTS, Bounds, Live, breach, lacking

BOUNDS = Bounds()


def took(*counts: float, errors: float = 0.0) -> Live:
    """Requests that took up to 1, 10 and 100 ms, and longer."""
    total, buckets = 0.0, []
    for bound, count in zip((0.001, 0.01, 0.1, math.inf), counts, strict=True):
        total += count
        buckets.append((bound, total))
    return Live(total + errors, errors, tuple(buckets))


QUICK = took(900, 100, 0, 0)


def test_percentiles_are_those_of_histogram_quantile() -> None:
    assert took(100, 0, 0, 0).p99 == pytest.approx(0.00099)
    assert took(90, 10, 0, 0).p99 == pytest.approx(0.001 + 0.009 * 0.9)
    assert took(0, 0, 0, 50).p99 == 0.1, "nothing is known beyond the last bound"
    assert [Live(0, 0).p99, took(0, 0, 0, 0).p99] == [None, None]


def test_who_is_slower_is_counted_within_buckets() -> None:
    assert took(900, 100, 0, 0).slower_than(0.0055) == pytest.approx(50)
    assert took(900, 100, 0, 5).slower_than(0.1) == 5
    assert took(900, 100, 0, 5).slower_than(0.5) == 5, "whoever is beyond the last bound may be"
    assert took(0, 0, 0, 0).slower_than(0.1) == 0


def test_errors_above_the_bound_are_a_breach() -> None:
    assert breach(took(90, 0, 0, 0, errors=60), QUICK, BOUNDS) == "40.0% of 150 requests failed, more than 10.0%"


@pytest.mark.parametrize("live", [took(180, 0, 0, 0, errors=20), took(85, 0, 0, 0, errors=15)])
def test_errors_at_the_bound_and_what_may_be_chance_are_none(live: Live) -> None:
    assert breach(live, QUICK, BOUNDS) == ""


def test_few_requests_are_no_breach_however_bad_they_are() -> None:
    few = FEWEST_REQUESTS - 1
    assert breach(took(0, 0, 0, 0, errors=few), QUICK, BOUNDS) == ""
    assert breach(took(0, 0, few, 0), QUICK, BOUNDS) == ""
    assert breach(took(0, 0, 1000, 0), took(few, 0, 0, 0), BOUNDS) == ""


def test_errors_that_are_not_its_fault_are_excused() -> None:
    failing = took(90, 0, 0, 0, errors=60)
    assert breach(failing, QUICK, BOUNDS, excused=0.35) == ""
    assert breach(failing, QUICK, BOUNDS, excused=0.05).endswith("more than 15.0%")
    assert breach(failing, QUICK, BOUNDS, excused=0.95) == ""


def test_a_tail_of_more_than_twice_the_other_is_a_breach() -> None:
    slow = took(900, 0, 100, 0)
    problem = breach(slow, QUICK, BOUNDS)
    assert problem == ("its p99 is 91.00 ms a score, more than 2 times the 9.10 ms of the other version")
    assert breach(slow, QUICK, Bounds(p99_ratio=20)) == ""


def test_a_few_slow_requests_and_a_tail_less_than_twice_as_long_are_none() -> None:
    assert breach(took(880, 100, 3, 0), QUICK, BOUNDS) == ""
    assert breach(took(0, 1000, 0, 0), QUICK, BOUNDS) == ""


def test_what_is_lacking_is_said() -> None:
    assert lacking(QUICK, QUICK) == ""
    assert lacking(took(50, 0, 0, 0), QUICK) == "50 requests of the new version are too few to judge, it takes 100"
    assert lacking(QUICK, took(7, 0, 0, 0)).startswith("7 requests of the other version")
