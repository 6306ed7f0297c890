"""Effects and tests against SciPy and against what can be reckoned by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from churn.domain import contract
from churn.domain.drift import columns, effects, significance, verdict
from churn.domain.drift.verdict import Bounds, Sample, judge
from tests.unit.domain.drift.samples import SHOP

RANDOM = np.random.default_rng(5)


def samples(before: np.ndarray, now: np.ndarray, plan: tuple[float, float] = (0.0, 0.0)) -> tuple[Sample, Sample]:
    return tuple(
        Sample(np.column_stack([np.full(len(values), code), values]), np.linspace(0, 1, len(values)))
        for values, code in zip((before, now), plan, strict=True)
    )  # type: ignore[return-value]


@pytest.mark.parametrize(("rows", "shift"), [(300, 0.0), (300, 0.1), (5000, 0.05), (5000, 0.3)])
def test_kolmogorov_smirnov_is_scipys(rows: int, shift: float) -> None:
    first, second = RANDOM.normal(size=10_000), RANDOM.normal(shift, size=rows)
    theirs = stats.ks_2samp(first, second, method="asymp")
    assert effects.ks_distance(first, second) == pytest.approx(theirs.statistic)
    assert significance.kolmogorov_smirnov(first, second) == pytest.approx(theirs.pvalue, abs=0.02, rel=0.15)


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 7, 30])
def test_chi_squared_is_scipys(groups: int) -> None:
    first, second = (RANDOM.multinomial(size, np.full(groups, 1 / groups)) for size in (3000, 500))
    theirs = stats.chi2_contingency(np.stack([first, second])).pvalue
    assert significance.chi_squared(first, second) == pytest.approx(theirs, rel=1e-9)


def test_groups_that_are_empty_on_both_sides_do_not_count() -> None:
    first, second = np.array([50, 0, 70]), np.array([40, 0, 90])
    assert significance.chi_squared(first, second) == significance.chi_squared(first[[0, 2]], second[[0, 2]])


def test_of_a_certain_difference_the_chance_is_zero_and_no_error() -> None:
    assert significance.chi_squared(np.array([10**6, 0]), np.array([0, 10**6])) == 0.0
    assert significance.kolmogorov_smirnov(np.zeros(10_000), np.ones(10_000)) == 0.0
    assert significance.kolmogorov_smirnov(np.zeros(500), np.zeros(500)) == 1.0


def test_false_discoveries_are_held_down_as_benjamini_and_hochberg_say() -> None:
    p = np.array([0.04, 0.001, 0.03, 0.9, 0.012])
    believed = stats.false_discovery_control(p) <= 0.05
    assert significance.discoveries(p, 0.05).tolist() == believed.tolist() == [True, True, True, False, True]
    assert not significance.discoveries(np.array([0.2, 0.9]), 0.05).any()


def test_total_variation_is_the_share_that_would_have_to_move() -> None:
    assert effects.total_variation(np.array([50, 50]), np.array([600, 400])) == pytest.approx(0.1)


def test_the_stability_index_has_its_usual_bands() -> None:
    before = np.array([1000] * 10)
    assert effects.psi(before, before) == 0.0
    assert [effects.band(value) for value in (0.0999, 0.1, 0.2499, 0.25)] == ["stable", "moderate", "moderate", "large"]
    assert effects.band(effects.psi(before, np.array([3000] + [777] * 9))) == "large"
    assert np.isfinite(effects.psi(np.array([100, 0]), np.array([0, 100])))


def test_missing_and_unknown_values_are_told_apart_and_counted() -> None:
    table = pa.table({"plan": ["basic", None, "gold", "plus"], "spend": [1.0, None, 3.0, 4.0]})
    before = pa.table({"plan": ["basic", "plus"] * 2, "spend": [1.0, 2.0, 3.0, 4.0]})
    one, other = (
        Sample(np.tile(columns.matrix(SHOP, part), (100, 1)), np.tile(np.linspace(0, 1, 4), 100))
        for part in (before, table)
    )
    plan, spend, _ = judge(SHOP, one, other, Bounds()).findings
    assert (plan.missing, plan.unknown, plan.missing_before, plan.unknown_before) == (0.25, 0.25, 0.0, 0.0)
    assert (spend.missing, spend.missing_before, spend.drifted) == (0.25, 0.0, True)
    assert spend.mean == pytest.approx(8 / 3)


def test_significance_alone_is_no_drift_and_neither_is_an_effect_alone() -> None:
    before = RANDOM.normal(size=10_000)
    small, few = samples(before, RANDOM.normal(0.1, size=10_000)), samples(before, RANDOM.normal(0.25, size=40))
    spend = judge(SHOP, *small, Bounds()).findings[1]
    assert (spend.significant, spend.drifted, spend.effect < 0.08) == (True, False, True)
    spend = judge(SHOP, *few, Bounds(rows=40)).findings[1]
    assert (spend.significant, spend.drifted, spend.effect > 0.08) == (False, False, True)


def test_large_windows_are_sampled_the_same_way_each_time() -> None:
    values = RANDOM.normal(size=(50_000, 2))
    once, again = (verdict.sampled(values, 10_000) for _ in range(2))
    assert len(once) == 10_000
    assert np.array_equal(once, again)
    assert verdict.sampled(values[:300], 10_000) is not None
    before, now = samples(RANDOM.normal(size=30_000), RANDOM.normal(size=30_000))
    found = judge(SHOP, before, now, Bounds())
    assert (found.rows, found.judged, found.reference) == (30_000, 10_000, 10_000)


def test_a_column_without_a_single_value_is_judged_too() -> None:
    before, now = samples(np.full(300, columns.MISSING), np.full(300, columns.MISSING))
    spend = judge(SHOP, before, now, Bounds()).findings[1]
    assert (spend.drifted, spend.effect, spend.missing, spend.mean) == (False, 0.0, 1.0, None)


def test_what_drifted_is_said_with_where_it_went() -> None:
    before, now = samples(RANDOM.normal(10, 1, 500), RANDOM.normal(12, 1, 500), plan=(0.0, 1.0))
    reason = judge(SHOP, before, now, Bounds()).reason
    assert reason.startswith("drifted: plan by 1.00 (basic 100 % to 0 %), spend by 0.")
    assert "(mean 10" in reason


def test_a_missing_value_that_stands_for_another_is_that_one() -> None:
    told = contract.parse("""
name: shop
target: {column: gone, positive: "yes"}
columns:
  plan: {type: category, categories: [basic, plus], cleaning: {constant: basic}}
  discount: {type: integer, cleaning: {constant: 0}}
""")
    sent = pa.table({"plan": ["plus", None], "discount": pa.array([None, 5], pa.int64())})
    assert columns.matrix(told, sent).tolist() == [[1.0, 0.0], [0.0, 5.0]]
