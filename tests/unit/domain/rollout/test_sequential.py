"""That a test which is read after every batch is wrong as seldom as it says, over hundreds of experiments."""

from __future__ import annotations

import math

import numpy as np
import pytest

from churn.domain.rollout import sequential
from churn.domain.rollout.sequential import effect_scale, effects, exceeds, interval, misdivided

RUNS, CUSTOMERS, BATCH, LEVEL = 400, 4000, 100, 0.05
CONTACT, WORTH = 10.0, 60.0


def experiment(seed: int, share: float, lift: float) -> tuple[np.ndarray, np.ndarray]:
    """Profits of customers in the order they came, and who met the challenger, whose contacts more often meet leavers:
    by so much."""
    random = np.random.default_rng(seed)
    challenged = random.random(CUSTOMERS) < share
    contacted = random.random(CUSTOMERS) < 0.4
    left = random.random(CUSTOMERS) < np.where(challenged, 0.4 + lift, 0.4)
    return np.where(contacted, left * WORTH - CONTACT, 0.0), challenged


def decided(seed: int, share: float, lift: float) -> str:
    """What the interval says first, read after every batch of outcomes."""
    return first_word(seed, share, lift)[0]


def first_word(seed: int, share: float, lift: float) -> tuple[str, int]:
    """What it says first, and after how many outcomes; nothing, of all there are."""
    profits, challenged = experiment(seed, share, lift)
    found = effects(profits, challenged, share)
    for count in range(BATCH, CUSTOMERS + 1, BATCH):
        seen = interval(found[:count], effect_scale(WORTH, share), LEVEL)
        assert seen is not None
        if seen.low > 0 or seen.high < 0:
            return "better" if seen.low > 0 else "worse", count
    return "", CUSTOMERS


def naive(seed: int, share: float) -> bool:
    """Whether a t-test that is read as often ever finds a difference that is not there."""
    profits, challenged = experiment(seed, share, 0.0)
    for count in range(BATCH, CUSTOMERS + 1, BATCH):
        ours, theirs = profits[:count][challenged[:count]], profits[:count][~challenged[:count]]
        error = math.sqrt(ours.var() / len(ours) + theirs.var() / len(theirs))
        if abs(ours.mean() - theirs.mean()) > 1.96 * error:
            return True
    return False


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_where_there_is_no_difference_hardly_any_experiment_finds_one_however_often_it_is_read(share: float) -> None:
    found = [decided(seed, share, 0.0) for seed in range(RUNS)]
    assert (len(found) - found.count("")) / RUNS <= LEVEL
    assert sum(naive(seed, share) for seed in range(RUNS)) / RUNS > 3 * LEVEL, "the experiments tempt nobody"


@pytest.mark.parametrize(("share", "lift", "expected"), [(0.5, 0.2, "better"), (0.3, -0.25, "worse")])
def test_a_real_difference_is_found(share: float, lift: float, expected: str) -> None:
    found = [decided(seed, share, lift) for seed in range(100)]
    assert found.count(expected) >= 90
    assert set(found) <= {expected, ""}


def test_it_takes_as_many_customers_as_the_readme_says() -> None:
    counts = [first_word(seed, 0.5, 0.2)[1] for seed in range(100)]
    assert np.median(counts) == pytest.approx(1600, abs=200)


def test_the_world_may_change_while_it_is_watched_without_a_difference_appearing() -> None:
    """Twice as many leave in the second half, of both groups."""
    random = np.random.default_rng(0)
    for _ in range(100):
        challenged = random.random(CUSTOMERS) < 0.3
        left = random.random(CUSTOMERS) < np.where(np.arange(CUSTOMERS) < CUSTOMERS / 2, 0.2, 0.4)
        found = effects(left * WORTH - CONTACT, challenged, 0.3)
        seen = interval(found, effect_scale(WORTH, 0.3), LEVEL)
        assert seen is not None
        assert seen.low < 0 < seen.high


def test_effects_are_unbiased_and_bounded() -> None:
    profits, challenged = experiment(3, 0.2, 0.3)
    found = effects(profits, challenged, 0.2)
    assert found.mean() == pytest.approx(0.4 * 0.3 * WORTH, abs=3 * found.std() / math.sqrt(CUSTOMERS))
    assert np.abs(found).max() <= effect_scale(WORTH, 0.2)


def test_no_values_give_no_interval_and_more_values_a_narrower_one() -> None:
    assert interval(np.empty(0), 1.0, LEVEL) is None
    assert len(effects(np.empty(0), np.empty(0, np.bool_), 0.5)) == 0
    values = np.tile([1.0, -1.0], 5000)
    few, many = (interval(values[:count], 1.0, LEVEL) for count in (100, 10_000))
    assert few is not None
    assert many is not None
    assert few.high - few.low > 5 * (many.high - many.low)


def test_the_boundary_is_that_of_the_paper() -> None:
    """At v = m the weight is log(zeta(s) / alpha); the rest is theorem 1, with eta = 2."""
    weight = math.log(sequential._ZETA / 0.025)
    k1, k2 = (2**0.25 + 2**-0.25) / math.sqrt(2), (math.sqrt(2) + 1) / 2
    expected = math.sqrt(k1**2 * 10 * weight + (k2 * weight) ** 2) + k2 * weight
    assert sequential.boundary(0.0, 1.0, 0.025) == pytest.approx(expected)
    assert sum(k**-1.4 for k in range(1, 100_000)) + 100_000**-0.4 / 0.4 - 1e-3 <= sequential._ZETA


@pytest.mark.parametrize(("rate", "most"), [(0.1, 0.01), (0.05, 0.0)])
def test_a_rate_within_its_bound_hardly_ever_looks_as_if_it_were_above(rate: float, most: float) -> None:
    random = np.random.default_rng(0)
    alarms = 0
    for _ in range(RUNS):
        hits = np.cumsum(random.random(1000) < rate)
        alarms += any(exceeds(hits[count - 1], count, 0.1) >= 100 for count in range(10, 1001, 10))
    assert alarms / RUNS <= most


def test_a_rate_far_above_its_bound_is_seen_soon() -> None:
    assert exceeds(20, 20, 0.1) >= 1000
    assert exceeds(40, 100, 0.1) >= 1000
    assert exceeds(3, 10, 0.1) < 1000
    assert exceeds(5, 100, 0.01) < 1000
    assert exceeds(30, 300, 0.01) >= 1000
    assert [exceeds(0, 0, 0.1), exceeds(5, 10, 1.0)] == [0, 0]


def test_who_is_left_out_of_a_group_is_noticed() -> None:
    random = np.random.default_rng(0)
    fair = [misdivided(int((random.random(5000) < 0.2).sum()), 5000, 0.2) for _ in range(RUNS)]
    assert max(fair) < 1000
    assert misdivided(800, 5000, 0.2) >= 1000
    assert misdivided(0, 500, 0.2) >= 1000
