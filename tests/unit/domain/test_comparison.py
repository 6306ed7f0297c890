from __future__ import annotations

import numpy as np
import pytest

from churn.domain.comparison import paired_bootstrap


def losses(n: int, better_by: float, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    shared = generator.exponential(0.4, n)
    return shared, shared + better_by + generator.normal(0, noise, n)


def test_the_mean_is_that_of_the_paired_differences() -> None:
    first, second = losses(500, 0.02, 0.1)
    assert paired_bootstrap(first, second).mean == pytest.approx((first - second).mean())


def test_a_better_model_has_an_interval_below_zero_and_swapping_turns_it_round() -> None:
    first, second = losses(1000, 0.02, 0.1)
    found, swapped = paired_bootstrap(first, second), paired_bootstrap(second, first)
    assert found.low < found.mean < found.high < 0
    assert swapped.low > 0


def test_equal_models_have_an_interval_around_zero() -> None:
    found = paired_bootstrap(*losses(1000, 0.0, 0.1))
    assert found.low < 0 < found.high


def test_a_model_compared_with_itself_differs_by_nothing() -> None:
    first, _ = losses(50, 0, 0)
    found = paired_bootstrap(first, first)
    assert (found.mean, found.low, found.high) == (0.0, 0.0, 0.0)


def test_the_interval_agrees_with_the_normal_one_of_many_rows() -> None:
    first, second = losses(4000, 0.01, 0.2)
    difference = first - second
    error = 1.96 * difference.std(ddof=1) / len(difference) ** 0.5
    found = paired_bootstrap(first, second)
    assert found.low == pytest.approx(difference.mean() - error, abs=0.15 * error)
    assert found.high == pytest.approx(difference.mean() + error, abs=0.15 * error)


def test_pairing_sees_what_the_noise_of_the_rows_would_hide() -> None:
    """Each loss alone has a standard error twenty times the difference."""
    first, second = losses(400, 0.001, 0.001)
    assert first.std() / 400**0.5 > 0.01
    assert paired_bootstrap(first, second).high < 0


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    covered = [
        found.low <= -0.05 <= found.high
        for found in (paired_bootstrap(*losses(200, 0.05, 0.3, seed), draws=500) for seed in range(200))
    ]
    assert 0.90 <= np.mean(covered) <= 0.99


def test_the_same_rows_give_the_same_interval_and_batches_of_draws_do_not_matter() -> None:
    first, second = losses(300, 0.0, 0.1)
    assert paired_bootstrap(first, second) == paired_bootstrap(first, second)
    many = paired_bootstrap(*losses(30_000, 0.01, 0.1))  # more rows than fit one batch of draws
    assert many.high < 0


def test_a_wider_level_gives_a_wider_interval() -> None:
    rows = losses(300, 0.0, 0.1)
    narrow, wide = paired_bootstrap(*rows, level=0.5), paired_bootstrap(*rows, level=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high
