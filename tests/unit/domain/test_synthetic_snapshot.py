"""One snapshot: the IBM sample's columns, its marginals as the parameters give them, and the law of churn behind it."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from churn.domain.errors import UserError
from churn.domain.synthetic import law
from churn.domain.synthetic.customers import draw_base, list_price
from churn.domain.synthetic.snapshot import snapshot

PUBLISHED = Path(os.environ.get("CHURN_TELCO_CSV", "../shared/data/telco.csv"))


@pytest.fixture(scope="module")
def frame():
    return snapshot(200_000, seed=1).to_pandas()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_snapshot_has_the_leavers_and_the_bayes_auc_of_the_sample(seed):
    customers = draw_base(np.random.default_rng(seed), np.arange(200_000))
    p = law.sigmoid(law.logit(customers, "snapshot"))
    left = np.random.default_rng(seed + 100).random(len(p)) < p
    assert left.mean() == pytest.approx(0.257, abs=0.005)
    assert roc_auc_score(left, p) == pytest.approx(0.846, abs=0.004)


def test_the_labels_follow_the_law(frame):
    assert (frame.Churn == "Yes").mean() == pytest.approx(0.257, abs=0.005)
    loyal, fresh = frame[frame.Contract == "Two year"], frame[(frame.Contract != "Two year") & (frame.tenure < 3)]
    assert (loyal.Churn == "Yes").mean() < 0.05
    assert (fresh.Churn == "Yes").mean() > 0.5


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the IBM sample is not here: set CHURN_TELCO_CSV to its path")
def test_columns_categories_and_types_are_those_of_the_published_sample(frame, tmp_path):
    frame.to_csv(tmp_path / "generated.csv", index=False)
    published, generated = pd.read_csv(PUBLISHED), pd.read_csv(tmp_path / "generated.csv")
    assert list(generated.columns) == list(published.columns)
    for name in published:
        if published[name].nunique() < 10:
            assert set(generated[name].unique()) == set(published[name].unique()), name
    ages = ["tenure", "MonthlyCharges", "SeniorCitizen"]
    assert (generated[ages].dtypes == published[ages].dtypes).all()


@pytest.mark.parametrize(
    ("contract", "share", "deciles", "fiber", "check"),
    [
        ("Month-to-month", 0.550, [1, 3, 12, 29, 46], 0.549, 0.48),
        ("One year", 0.209, [14, 27, 44, 58, 67], 0.366, 0.24),
        ("Two year", 0.241, [26, 48, 64, 71, 72], 0.253, 0.10),
    ],
)
def test_a_contract_has_its_share_tenure_internet_and_payment(frame, contract, share, deciles, fiber, check):
    owners = frame[frame.Contract == contract]
    assert len(owners) / len(frame) == pytest.approx(share, abs=0.0001)
    assert owners.tenure.quantile([0.1, 0.25, 0.5, 0.75, 0.9]).tolist() == deciles
    assert (owners.InternetService == "Fiber optic").mean() == pytest.approx(fiber, abs=0.01)
    assert (owners.PaymentMethod == "Electronic check").mean() == pytest.approx(check, abs=0.01)


def test_services_need_the_line_they_run_on(frame):
    offline = frame.InternetService == "No"
    services = ["OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport", "StreamingTV", "StreamingMovies"]
    for name in services:
        assert ((frame[name] == "No internet service") == offline).all(), name
    assert ((frame.MultipleLines == "No phone service") == (frame.PhoneService == "No")).all()
    assert (frame[frame.PhoneService == "No"].InternetService == "DSL").all()
    assert (frame[frame.InternetService == "DSL"].PhoneService == "No").mean() == pytest.approx(0.28, abs=0.01)
    assert (frame[~offline].TechSupport == "Yes").mean() == pytest.approx(0.370, abs=0.01)


def test_charges_are_the_list_price_and_totals_what_was_billed_since():
    customers = draw_base(np.random.default_rng(0), np.arange(100_000))
    assert np.std(customers.monthly - list_price(customers)) == pytest.approx(1.02, abs=0.02)
    billed = customers.tenure > 0
    months = customers.total[billed] / customers.monthly[billed]
    deviation = (months - customers.tenure[billed]) / np.sqrt(customers.tenure[billed])
    assert deviation.mean() == pytest.approx(0, abs=0.01)
    assert deviation.std() == pytest.approx(0.20, abs=0.005)


def test_who_was_never_billed_has_no_total(frame):
    assert ((frame.tenure == 0) == frame.TotalCharges.isna()).all()
    assert 0 < frame.TotalCharges.isna().mean() < 0.02
    assert frame.drop(columns="TotalCharges").notna().all(axis=None)


def test_ids_look_like_those_of_the_sample_and_are_nobody_elses(frame):
    assert frame.customerID.is_unique
    assert frame.customerID.str.fullmatch(r"\d{4}-[A-Z]{5}").all()
    assert not set(frame.customerID) & set(snapshot(10_000, seed=2)["customerID"].to_pylist())


def test_a_seed_is_a_table():
    assert snapshot(1_000, seed=7).equals(snapshot(1_000, seed=7))
    assert not snapshot(1_000, seed=7).equals(snapshot(1_000, seed=8))


@pytest.mark.parametrize(
    ("customers", "seed", "option"), [(0, 1, "--customers"), (-5, 1, "--customers"), (10, -1, "--seed")]
)
def test_a_snapshot_of_nobody_or_with_a_negative_seed_is_refused(customers, seed, option):
    with pytest.raises(UserError, match=option):
        snapshot(customers, seed)
