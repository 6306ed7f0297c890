from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from churn.domain.contract import Costs
from components.close_batch.summary import Tally, curve

COSTS = Costs(contact=10, value=200, success=0.3)


def tally(p: np.ndarray) -> Tally:
    found = Tally()
    for some in np.array_split(p, 3):
        risk = np.where(some < 0.2, "low", np.where(some < 0.6, "medium", "high"))
        words = np.where(some < 0.2, "Nothing.", "Call.")
        found.add(pa.table({"probability": some, "decision": some >= 0.2, "risk": risk, "recommendation": words}))
    return found


@pytest.fixture
def p() -> np.ndarray:
    return np.random.default_rng(1).beta(1, 4, 5000).astype(np.float32)


def test_risk_and_decisions_are_counted(p: np.ndarray) -> None:
    found = tally(p)
    low, medium, high = found.risk()
    assert (low.customers, medium.customers, high.customers) == (
        (p < 0.2).sum(), ((p >= 0.2) & (p < 0.6)).sum(), (p >= 0.6).sum(),
    )  # fmt: skip
    assert high.mean_probability == pytest.approx(p[p >= 0.6].mean(), abs=1e-5)
    assert found.contacted == (p >= 0.2).sum()
    assert sum(found.histogram()) == found.rows == len(p)
    assert list(found.most_frequent().values()) == sorted(found.recommendations.values(), reverse=True)


def test_the_profit_of_the_top_is_what_sorting_gives(p: np.ndarray) -> None:
    worth = np.cumsum(60 * np.sort(p.astype(np.float64))[::-1] - 10)
    found = tally(p)
    for share in (0.001, 0.1, 0.5, 1.0):
        top = found.top(share, COSTS)
        assert top.profit == pytest.approx(worth[top.customers - 1], abs=0.5)
    best = found.best(COSTS)
    assert best.profit == pytest.approx(worth.max(), abs=0.5)
    assert best.from_probability == pytest.approx(10 / 60, abs=1e-3)
    assert curve(found, COSTS)[-1] == (1.0, pytest.approx(worth[-1], abs=0.5))


def test_where_no_contact_pays_the_best_is_none() -> None:
    assert tally(np.full(9, 0.01, np.float32)).best(COSTS).customers == 0


def test_certain_customers_have_a_place_too() -> None:
    found = tally(np.array([0.0, 1.0, 1.0], np.float32))
    assert found.top(1.0, COSTS).profit == 90
