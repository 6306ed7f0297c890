"""A fault of the data is told from a change of the world, and in the week in which it was."""

from __future__ import annotations

import datetime as dt
import re

import numpy as np
import pytest

from churn.domain.drift.columns import MISSING
from churn.domain.drift.faults import Fault, faults
from churn.domain.drift.verdict import Bounds, Sample, judge
from tests.unit.domain.drift.samples import SHOP

MARCH = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
ROWS = 6000


def sample(seed: int, rows: int = ROWS, days: int = 30) -> Sample:
    """Rows spread over so many days up to March."""
    random = np.random.default_rng(seed)
    columns = np.column_stack([random.integers(0, 2, rows), random.gamma(4, 15, rows)])
    newest = round(MARCH.timestamp() * 1e6) - 1
    at = newest - (random.random(rows) * days * 86_400e6).astype(np.int64)
    return Sample(columns, random.random(rows), at)


BEFORE = sample(1).columns


def during(window: Sample, since: int, until: int) -> np.ndarray:
    """Rows of the days so long before March."""
    assert window.at is not None
    days_ago = (MARCH.timestamp() * 1e6 - window.at) / 86_400e6
    return (days_ago < since) & (days_ago >= until)


def found(window: Sample, fewest: int = 200) -> dict[str, tuple[Fault, ...]]:
    assert window.at is not None
    return faults(SHOP, BEFORE, window.columns, window.at, fewest)


def test_a_quiet_window_has_none() -> None:
    assert all(found(sample(seed)) == {} for seed in range(2, 30))


@pytest.mark.parametrize(
    ("place", "value", "why"),
    [
        (1, 4.0, r"mean 2\d\d.*, [56]\d.* before"), (1, 0.1, r"mean [56]\..*, [56]\d.* before"),
        (1, -1.0, r"mean -[56]\d.*, [56]\d.* before"),
        (1, MISSING, "100 % missing, 0 % before"), (0, 2, "100 % missing, 0 % before"),
        (0, 3, "100 % unknown, 0 % before"),
    ],
)  # fmt: skip
def test_one_broken_week_of_four_is_found_and_the_others_are_not(place: int, value: float, why: str) -> None:
    window = sample(2)
    bad = during(window, 14, 7)
    values = window.columns[:, place]
    values[bad] = values[bad] * value if place == 1 and value != MISSING else value
    (name, (fault,)), *others = found(window).items()
    assert (name, others) == (SHOP.raw[place], [])
    assert (fault.since, fault.until) == (MARCH - 14 * DAY, MARCH - 7 * DAY)
    assert re.fullmatch(why, fault.why), fault.why


@pytest.mark.parametrize("days", [2, 5])
def test_a_fifth_of_a_week_without_values_is_enough(days: int) -> None:
    window = sample(3)
    window.columns[during(window, days, 0), 1] = MISSING
    assert list(found(window)) == ["spend"]


@pytest.mark.parametrize(("factor", "missing"), [(1.3, 0.0), (2.5, 0.0), (1.0, 0.15)])
def test_a_world_that_changes_is_no_fault(factor: float, missing: float) -> None:
    window = sample(4)
    window.columns[:, 1] *= factor
    window.columns[: int(missing * ROWS), 1] = MISSING
    assert found(window) == {}


def test_a_mean_that_moves_far_while_most_stay_where_they_were_is_no_fault() -> None:
    window = sample(5)
    window.columns[::20, 1] *= 100
    assert found(window) == {}


def test_categories_that_others_take_are_no_fault() -> None:
    window = sample(6)
    window.columns[:, 0] = 1
    assert found(window) == {}


def test_weeks_with_few_rows_are_looked_at_together() -> None:
    window = sample(7, rows=500)
    window.columns[during(window, 3, 0), 1] = MISSING
    assert found(window) == {}, "3 of 12 days or more are not a fifth"
    window.columns[during(window, 14, 0), 1] = MISSING
    (fault,) = found(window)["spend"]
    assert fault.until == MARCH
    assert fault.since <= MARCH - 12 * DAY


def test_a_window_of_fewer_rows_than_a_week_needs_has_none() -> None:
    window = sample(8, rows=150)
    window.columns[:, 1] = MISSING
    assert found(window) == {}
    assert faults(SHOP, BEFORE, np.empty((0, 2)), np.empty(0, np.int64), 200) == {}


def test_the_verdict_tells_of_a_fault_that_is_too_short_to_be_a_drift() -> None:
    window = sample(9)
    window.columns[during(window, 16, 14), 1] = MISSING
    judged = judge(SHOP, Sample(BEFORE, np.linspace(0, 1, ROWS)), window, Bounds())
    (spend,) = judged.drifted
    assert (spend.name, spend.effect < 0.08) == ("spend", True)
    assert judged.reason == "drifted: spend looks broken (30 % missing, 0 % before, 2026-02-08 to 2026-02-14)"
