"""How bursts become figures of the serving benchmark's table."""

from dataclasses import replace

import pytest

from tests.benchmarks.serving.measure import Burst, Measured
from tests.benchmarks.serving.results import Results, Series, targets
from tests.benchmarks.serving.scenarios import NAIVE, SINGLE

NAIVE_BURST = Burst(rate=100, cpu_us=8000, p50_ms=80, p99_ms=100, requests=300, failed=0)
OURS_BURST = Burst(rate=1000, cpu_us=800, p50_ms=8, p99_ms=20, requests=3000, failed=0)


def measured(burst: Burst, *rates: float) -> Measured:
    return Measured(tuple(replace(burst, rate=rate) for rate in rates))


def test_a_ratio_is_the_median_over_rounds_and_not_the_ratio_of_medians():
    naive, ours = measured(NAIVE_BURST, 100, 200, 50), measured(OURS_BURST, 1000, 1000, 1000)
    assert ours.times(naive, "rate") == pytest.approx(10)
    assert ours.times(measured(NAIVE_BURST, 100, 100, 50), "rate") == pytest.approx(10)
    assert ours.times(measured(NAIVE_BURST, 500, 100, 500), "rate") == pytest.approx(2)


def test_targets_stand_beside_what_was_measured():
    both = {NAIVE: measured(NAIVE_BURST, 100), "ours, v1 JSON": measured(OURS_BURST, 1000)}
    found = list(targets(Results("", "", series=[Series(SINGLE, "", 1, 8, both)])))
    assert [(one.measured, one.bound, one.met) for one in found] == [(10, 8, True), (10, 8, True), (5, 4, True)]


def test_a_target_that_is_not_met_says_so():
    both = {NAIVE: measured(NAIVE_BURST, 100), "ours, v1 JSON": measured(OURS_BURST, 1000)}
    found = list(targets(Results("", "", series=[Series(SINGLE, "", 1, 32, both)])))
    assert [(one.measured, one.bound, one.met) for one in found] == [(10, 12, False), (5, 4, True)]
