from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn.domain import contract
from churn.domain.derivation import Derivation, sources
from churn.domain.errors import UserError

CONTRACT = contract.parse(
    """
name: small
target: {column: left, positive: 1}
columns:
  tenure: {type: integer, nullable: true}
  charge: {type: number, nullable: true}
  total: {type: number, nullable: true, cleaning: {constant: 0}}
  plan: {type: category, categories: [basic, gold, tin], nullable: true}
derived:
  years: {formula: tenure / 12, told_as: tenure}
  log_total: {formula: log1p(total), told_as: total}
  band: {bin: tenure, edges: [6, 12], labels: [a, b, c], told_as: tenure}
  is_new: {flag: tenure < 6 and plan != "tin", told_as: tenure}
  new_gold: {flag: 'is_new and plan in ("gold", "tin")', told_as: plan}
  count_of: {formula: 'count(is_new, plan == "gold", tenure >= 3)', told_as: plan}
  spread: {formula: "max(charge, years) - min(charge, years)", told_as: charge}
  guarded: {formula: 0 if tenure == 0 else charge / tenure, told_as: charge}
  late_band: {flag: band == "c", told_as: tenure}
  power: {formula: abs(floor(charge) - ceil(charge)) ** 2 + sqrt(abs(charge)), told_as: charge}
"""
)


def oracle(tenure: float, charge: float, total: float, plan: float) -> list[float]:
    """The same features in plain Python, one row at a time."""
    nan = math.nan
    total = 0.0 if math.isnan(total) else total
    no_tenure, no_charge, no_plan = (math.isnan(value) for value in (tenure, charge, plan))
    years = nan if no_tenure else tenure / 12
    band = nan if no_tenure else float((tenure >= 6) + (tenure >= 12))
    is_new = nan if no_tenure or no_plan else float(tenure < 6 and plan != 2)
    return [
        tenure, charge, total, plan,
        years,
        math.log(total + 1),
        band,
        is_new,
        nan if math.isnan(is_new) else float(bool(is_new) and plan in (1, 2)),
        nan if math.isnan(is_new) else float(is_new + (plan == 1) + (tenure >= 3)),
        nan if no_charge or no_tenure else max(charge, years) - min(charge, years),
        nan if no_charge or no_tenure else (0.0 if tenure == 0 else charge / tenure),
        nan if no_tenure else float(band == 2),
        nan if no_charge else abs(math.floor(charge) - math.ceil(charge)) ** 2 + math.sqrt(abs(charge)),
    ]  # fmt: skip


maybe = st.none() | st.integers(0, 100)
rows = st.tuples(
    maybe,
    st.none() | st.floats(-1e6, 1e6),
    st.none() | st.floats(0, 1e6),
    st.none() | st.integers(0, 2),
).map(lambda row: [math.nan if value is None else float(value) for value in row])


@settings(max_examples=200, deadline=None)
@given(st.lists(rows, min_size=1, max_size=20))
def test_the_graph_says_what_plain_python_says(table: list[list[float]]) -> None:
    found = Derivation(CONTRACT).run(np.array(table))
    np.testing.assert_allclose(found, np.array([oracle(*row) for row in table]), rtol=1e-6, atol=1e-12)


def test_one_row_and_many_rows_give_the_same_bits() -> None:
    derivation = Derivation(CONTRACT)
    generator = np.random.default_rng(1)
    tenure, charge = generator.integers(0, 70, 1000), generator.normal(70, 30, 1000)
    total, plan = generator.uniform(0, 5000, 1000), generator.integers(0, 3, 1000)
    table = np.column_stack([tenure, charge, total, plan]).astype(float)
    whole = derivation.run(table)
    alone = np.vstack([derivation.run(row[None, :]) for row in table])
    np.testing.assert_array_equal(whole, alone)


@pytest.mark.parametrize("rows", [1, 3, 8, 1001])
def test_a_row_has_the_same_features_wherever_it_stands(rows: int) -> None:
    derivation = Derivation(CONTRACT)
    row = np.array([[17.0, 70.123456789, 1234.56789, 1.0]])
    np.testing.assert_array_equal(
        derivation.run(np.repeat(row, rows, axis=0)), np.repeat(derivation.run(row), rows, axis=0)
    )


def test_a_null_input_gives_a_null_feature_and_only_there() -> None:
    row = np.array([[math.nan, 10.0, 5.0, 1.0]])
    found = dict(zip(CONTRACT.features, Derivation(CONTRACT).run(row)[0], strict=True))
    assert math.isnan(found["years"])
    assert math.isnan(found["is_new"])
    assert math.isnan(found["new_gold"])
    assert found["log_total"] == pytest.approx(math.log(6), rel=1e-6)
    assert found["power"] == pytest.approx(math.sqrt(10))


def test_a_constant_is_filled_in_before_anything_is_derived() -> None:
    found = Derivation(CONTRACT).run(np.array([[1.0, 1.0, math.nan, 0.0]]))[0]
    assert found[2] == 0
    assert found[CONTRACT.features.index("log_total")] == 0


@pytest.mark.parametrize(
    ("text", "row", "value"),
    [
        ("charge / tenure", [0.0, 3.0], "tenure = 0"),
        ("log(charge)", [1.0, 0.0], "charge = 0"),
        ("sqrt(charge)", [1.0, -4.0], "charge = -4"),
        ("exp(charge)", [1.0, 1e5], "charge = 100000"),
        ("charge * charge", [1.0, 1e30], "charge = 1e+30"),
        ("charge / tenure - charge / tenure", [0.0, 1.0], "tenure = 0"),
    ],
)
def test_a_value_that_is_not_finite_names_feature_column_and_row(text: str, row: list[float], value: str) -> None:
    small = contract.parse(
        "name: s\ntarget: {column: y, positive: 1}\n"
        "columns: {tenure: {type: number}, charge: {type: number}}\n"
        f"derived: {{ratio: {{formula: {text}, told_as: charge}}}}"
    )
    with pytest.raises(UserError) as refused:
        Derivation(small).run(np.array([[1.0, 1.0], row]))
    assert "feature ratio" in str(refused.value)
    assert "row 2" in str(refused.value)
    assert value in str(refused.value)


def test_sources_follow_features_through_features() -> None:
    found = sources(CONTRACT)
    assert found["new_gold"] == {"tenure", "plan"}
    assert found["spread"] == {"charge", "tenure"}
    assert found["late_band"] == {"tenure"}


def test_a_contract_without_derived_features_gives_its_columns() -> None:
    plain = contract.parse("name: s\ntarget: {column: y, positive: 1}\ncolumns: {a: {type: number}, b: {type: number}}")
    table = np.array([[1.0, math.nan], [2.0, 3.0]])
    np.testing.assert_array_equal(Derivation(plain).run(table), table)
