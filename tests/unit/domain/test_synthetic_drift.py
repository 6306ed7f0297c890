"""Drift: it begins when it should, does what it says, and nothing else."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from churn.domain.errors import UserError
from churn.domain.synthetic.drift import parse
from churn.domain.synthetic.population import Population
from churn.domain.synthetic.snapshot import snapshot


@pytest.fixture(scope="module")
def quiet():
    return snapshot(30_000, seed=1).to_pandas()


def drifted(spec: str) -> pd.DataFrame:
    return snapshot(30_000, seed=1, spec=spec).to_pandas()


def at_month(month: int, spec: str | None, customers: int = 5_000) -> Population:
    population = Population(customers, 3, spec)
    for _ in range(month - 1):
        population.advance()
    return population


@pytest.mark.parametrize("size", [-0.3, 0.3])
@pytest.mark.parametrize("column", ["tenure", "MonthlyCharges", "TotalCharges"])
def test_a_number_moves_by_its_standard_deviations(quiet, column, size):
    moved = drifted(f"{column}{size:+}@1")
    distance = (moved[column].mean() - quiet[column].mean()) / quiet[column].std()
    assert distance == pytest.approx(size, abs=0.07)  # the bounds of tenure and totals take some of it
    assert (moved.TotalCharges.isna() == quiet.TotalCharges.isna()).all()
    assert moved.tenure.between(0, 72).all()
    others = quiet.columns.drop([column, "Churn"])
    assert moved[others].equals(quiet[others])


@pytest.mark.parametrize(
    ("column", "category"),
    [
        ("PaymentMethod", "Electronic check"),
        ("Contract", "Month-to-month"),
        ("InternetService", "Fiber optic"),
        ("OnlineSecurity", "Yes"),
        ("SeniorCitizen", "1"),
    ],
)
def test_a_category_gains_the_share_it_is_given(quiet, column, category):
    moved = drifted(f"{column}={category}+0.1@1")
    gain = (moved[column].astype(str) == category).mean() - (quiet[column].astype(str) == category).mean()
    assert gain == pytest.approx(0.1, abs=0.01)
    offline = moved.InternetService == "No"
    assert ((moved.TechSupport == "No internet service") == offline).all()


def test_services_that_move_are_paid_for(quiet):
    moved = drifted("StreamingTV=Yes+0.1@1")
    assert moved.MonthlyCharges.mean() - quiet.MonthlyCharges.mean() == pytest.approx(1.0, abs=0.1)


def test_the_law_applies_to_what_a_plain_shift_made_of_customers():
    assert (drifted("tenure-0.3@1").Churn == "Yes").mean() > 0.3


def test_months_before_a_drift_are_those_of_a_quiet_base():
    assert at_month(3, "price-rise@4").labelled().equals(at_month(3, None).labelled())
    assert not at_month(4, "price-rise@4").table().equals(at_month(4, None).table())


def test_months_that_a_base_has_lived_before_do_not_count_for_a_drift():
    early, late = Population(2_000, 3, "price-rise@2", before=3), Population(2_000, 3, "price-rise@5")
    for _ in range(5):
        assert early.labelled().equals(late.labelled())
        early.advance()
        late.advance()


def test_a_scenario_without_a_month_begins_in_the_fifth():
    assert parse("price-rise").latest == 5
    assert at_month(5, "price-rise").labelled().equals(at_month(5, "price-rise@5:0.3").labelled())


def test_a_price_rise_raises_charges_and_what_they_do():
    risen, before = at_month(4, "price-rise@4:0.2"), at_month(4, None)
    ratio = risen.table()["MonthlyCharges"].to_numpy() / before.table()["MonthlyCharges"].to_numpy()
    assert ratio == pytest.approx(1.2, abs=0.01)
    dear = before.table()["MonthlyCharges"].to_numpy() > 90
    assert (risen.probability[dear] > before.probability[dear]).all()
    assert risen.probability[dear].mean() > 2 * before.probability[dear].mean()


@pytest.mark.parametrize("scenario", ["price-rise", "new-competitor"])
def test_a_scenario_turns_the_old_law_into_a_poor_guide(scenario):
    now = at_month(4, f"{scenario}@4", customers=60_000)
    believed = at_month(4, None, customers=60_000).probability
    churned = now.labelled()["Churn"].to_numpy(zero_copy_only=False) == "Yes"
    assert roc_auc_score(churned, now.probability) > roc_auc_score(churned, believed) + 0.04


def test_totals_follow_the_risen_price():
    risen, before = at_month(8, "price-rise@4:0.2"), at_month(8, None)
    both = risen.table().to_pandas().merge(before.table().to_pandas(), on="customerID", suffixes=("", "_quiet"))
    both = both[both.tenure.between(10, 70)]
    extra = (both.TotalCharges - both.TotalCharges_quiet) / both.MonthlyCharges_quiet
    assert extra.median() == pytest.approx(4 * 0.2, abs=0.3)


def test_a_data_bug_is_in_the_record_and_not_in_the_world():
    buggy, sound = at_month(6, "data-bug@4"), at_month(6, None)
    assert buggy.table()["tenure"].to_pylist() == np.ceil(sound.table()["tenure"].to_numpy() / 12).tolist()
    assert buggy.table().drop_columns("tenure").equals(sound.table().drop_columns("tenure"))
    assert buggy.outcomes().equals(sound.outcomes())


def test_changes_add_up():
    both = drifted("tenure+0.3@1, Contract=Two year+0.1@1")
    assert both.tenure.equals(drifted("tenure+0.3@1").tenure)
    assert both.Contract.equals(drifted("Contract=Two year+0.1@1").Contract)


def test_quiet_is_no_drift():
    assert parse("quiet") == parse(None) == parse("")
    assert parse("quiet").latest == 0


def test_a_snapshot_shows_the_law_of_a_scenario_that_begins_with_it():
    population = snapshot(30_000, seed=1, spec="price-rise@1")
    assert (population["Churn"].to_numpy(zero_copy_only=False) == "Yes").mean() > 0.3


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("sabotage@3", "quiet, price-rise, new-competitor, data-bug"),
        ("price-rise@0", "before the first month"),
        ("price-rise@2:much", "is not known"),
        ("tenure+0.3", "COLUMN\\+SHIFT@MONTH"),
        ("Churn+0.3@2", "tenure, MonthlyCharges, TotalCharges"),
        ("tenure=12+0.1@2", "'tenure' has no categories"),
        ("gender=Robot+0.1@2", "Female, Male"),
        ("OnlineSecurity=No internet service+0.1@2", "one of No, Yes"),
        ("gender=Male+0.9@2", "at most 0.49|at most 0.50"),
        ("gender=Male-0.1@2", "above 0"),
    ],
)
def test_a_specification_without_meaning_is_refused_with_what_would_have_one(spec, said):
    with pytest.raises(UserError, match=said) as refusal:
        parse(spec)
    assert refusal.value.where == "--drift"
    assert "\n" not in str(refusal.value)
