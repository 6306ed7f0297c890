"""A base over months: it stands still as a whole while everyone in it moves."""

from datetime import date
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from churn.domain.synthetic import blocks
from churn.domain.synthetic.population import Population

BOUND = 0.02
NUMBERS = ["tenure", "MonthlyCharges", "TotalCharges"]
IDENTITY = ["customerID", "snapshot_date"]


def ks(a: pa.ChunkedArray, b: pa.ChunkedArray) -> float:
    """The Kolmogorov-Smirnov distance of two samples."""
    a, b = np.sort(a.drop_null().to_numpy()), np.sort(b.drop_null().to_numpy())
    points = np.concatenate([a, b])
    above = np.searchsorted(a, points, side="right") / len(a) - np.searchsorted(b, points, side="right") / len(b)
    return float(np.abs(above).max())


def total_variation(a: pa.ChunkedArray, b: pa.ChunkedArray) -> float:
    """Half the sum of the differences of the shares, null being a category."""
    shares = [
        {count["values"]: count["counts"] / len(column) for count in column.value_counts().to_pylist()}
        for column in (a, b)
    ]
    return sum(abs(shares[0].get(name, 0) - shares[1].get(name, 0)) for name in shares[0] | shares[1]) / 2


def distances(a: pa.Table, b: pa.Table) -> dict[str, float]:
    return {
        name: ks(a[name], b[name]) if name in NUMBERS else total_variation(a[name], b[name])
        for name in a.column_names
        if name not in IDENTITY
    }


def months(population: Population, count: int) -> list[pd.DataFrame]:
    frames = [population.labelled().to_pandas()]
    for _ in range(count - 1):
        population.advance()
        frames.append(population.labelled().to_pandas())
    return frames


@pytest.fixture(scope="module")
def year() -> list[pd.DataFrame]:
    return months(Population(20_000, seed=5), 13)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_quiet_base_keeps_every_marginal_of_month_one_for_24_months(seed):
    population = Population(40_000, seed)
    first = population.labelled()
    for month in range(2, 26):
        population.advance()
        apart = distances(first, population.labelled())
        assert max(apart.values()) < BOUND, (month, apart)


def test_contract_and_tenure_keep_their_joint_law():
    population = Population(100_000, seed=4)
    first = population.table()
    for _ in range(24):
        population.advance()
    last = population.table()
    for contract in ("Month-to-month", "One year", "Two year"):
        then, now = (table.filter(pc.field("Contract") == contract)["tenure"] for table in (first, last))
        assert ks(then, now) < BOUND, contract


def test_about_two_percent_churn_a_month_and_less_than_five_are_lost_from_sight(year):
    for frame in year:
        assert (frame.Churn == "Yes").mean() == pytest.approx(0.02, abs=0.005)
        assert 0.02 < frame.Churn.isna().mean() < 0.05


def test_who_leaves_never_returns_and_who_stays_is_one_month_older(year):
    seen: set[str] = set()
    for now, later in pairwise(year):
        assert now.customerID.is_unique
        gone = set(now.customerID[now.Churn != "No"])
        seen |= gone
        assert not seen & set(later.customerID)
        both = now.merge(later, on="customerID", suffixes=("", "_later"))
        assert len(both) == len(now) - len(gone)
        assert (both.tenure_later == (both.tenure + 1).clip(upper=72)).all()
        for fixed in ("gender", "InternetService", "StreamingTV", "PaperlessBilling"):
            assert (both[fixed] == both[f"{fixed}_later"]).all()


def test_newcomers_replace_leavers_and_mostly_begin(year):
    for now, later in pairwise(year):
        assert len(now) == len(later)
        newcomers = later[~later.customerID.isin(now.customerID)]
        assert 0.03 < len(newcomers) / len(later) < 0.08
        assert (newcomers.tenure <= 1).mean() > 0.9


def test_some_change_contract_and_pay_as_owners_of_it_do(year):
    both = year[0].merge(year[12], on="customerID", suffixes=("", "_later"))
    changed = both[both.Contract != both.Contract_later]
    assert 0.02 < len(changed) / len(both) < 0.2
    committed = changed[changed.Contract_later == "Two year"]
    assert (committed.PaymentMethod_later == "Electronic check").mean() == pytest.approx(0.10, abs=0.05)


def test_totals_grow_by_the_monthly_charge(year):
    both = year[0].merge(year[1], on="customerID", suffixes=("", "_later"))
    both = both[both.tenure_later < 72]
    bill = (both.TotalCharges_later - both.TotalCharges.fillna(0)) / both.MonthlyCharges
    assert bill.mean() == pytest.approx(1, abs=0.01)
    assert bill.std() == pytest.approx(0.2, abs=0.01)


def test_labels_come_with_the_true_chances():
    population = Population(200_000, seed=6)
    p, churned = population.probability, population.labelled()["Churn"].to_numpy(zero_copy_only=False) == "Yes"
    for part in np.array_split(np.argsort(p), 5):
        assert churned[part].mean() == pytest.approx(p[part].mean(), abs=4 * np.sqrt(p[part].mean() / len(part)))


def test_outcomes_are_known_30_days_later_except_of_those_lost_from_sight():
    population = Population(5_000, seed=1, start=date(2024, 1, 31))
    population.advance()
    labelled, outcomes = population.labelled().to_pandas(), population.outcomes().to_pandas()
    assert population.snapshot_date == date(2024, 2, 29)
    assert (outcomes.outcome_date.dt.date == date(2024, 3, 30)).all()
    known = labelled[labelled.Churn.notna()]
    assert outcomes.customerID.tolist() == known.customerID.tolist()
    assert outcomes.Churn.tolist() == known.Churn.tolist()
    assert "Churn" not in population.table().column_names


def test_looking_at_a_month_does_not_change_the_next():
    watched, blind = Population(3_000, seed=9), Population(3_000, seed=9)
    for _ in range(3):
        watched.labelled(), watched.outcomes(), watched.probability
        watched.advance()
        blind.advance()
    assert watched.labelled().equals(blind.labelled())


def test_blocks_share_neither_ids_nor_dice(monkeypatch):
    monkeypatch.setattr(blocks, "SIZE", 1_000)
    population = Population(2_500, seed=1)
    ids: set[str] = set()
    for _ in range(6):
        frame = population.labelled().to_pandas()
        assert len(frame) == frame.customerID.nunique() == 2_500
        halves = frame.drop(columns=IDENTITY)
        assert not halves[:1000].reset_index(drop=True).equals(halves[1000:2000].reset_index(drop=True))
        left = set(frame.customerID[frame.Churn != "No"])
        assert not ids & left
        ids |= left
        population.advance()
