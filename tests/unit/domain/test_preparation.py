from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn.domain import contract as contracts
from churn.domain.contract import Cleaning, Contract
from churn.domain.derivation import Derivation
from churn.domain.errors import UserError
from churn.domain.graph import Graph
from churn.domain.preparation import Preparation, design_model

CONTRACT = contracts.parse(
    """
name: small
target: {column: gone, positive: 1}
columns:
  plain: {type: number, nullable: true}
  middle: {type: number, nullable: true, cleaning: {fill: median}}
  usual: {type: integer, nullable: true, cleaning: {fill: mode, indicator: true}}
  capped: {type: number, nullable: true, cleaning: {cap: [0.1, 0.9]}}
  both: {type: number, nullable: true, cleaning: {fill: median, cap: [0.25, 0.75], indicator: true}}
  kind: {type: category, categories: [a, b, c], nullable: true}
  colour: {type: category, categories: [red, blue], nullable: true, cleaning: {fill: mode, indicator: true}}
derived:
  twice: {formula: plain * 2, told_as: plain}
  is_high: {flag: middle > 0, told_as: middle}
  band: {bin: capped, edges: [0, 1], labels: [low, mid, high], told_as: capped}
"""
)
FEATURES = CONTRACT.features
CATEGORIES = {"kind": ("a", "b", "c"), "colour": ("red", "blue"), "band": ("low", "mid", "high")}


def oracle(train: np.ndarray, rows: np.ndarray, *, impute: bool) -> dict[str, np.ndarray]:
    """The design matrix by its words, column by column, in plain NumPy."""
    found: dict[str, np.ndarray] = {}
    for position, name in enumerate(FEATURES):
        learned, values = train[:, position], rows[:, position].copy()
        if np.isnan(learned).sum() > len(learned) / 2:
            continue
        present = learned[~np.isnan(learned)]
        cleaning = CONTRACT.columns[name].cleaning if name in CONTRACT.columns else Cleaning()
        missing = np.isnan(values)
        if cleaning.fill == "mode":
            numbers, counts = np.unique(present, return_counts=True)
            values[missing] = numbers[counts == counts.max()].min()
        elif name not in CATEGORIES and (cleaning.fill == "median" or impute):
            values[missing] = np.median(present)
        if cleaning.cap:
            low, high = np.quantile(present, cleaning.cap)
            values = np.where(np.isnan(values), np.nan, np.clip(values, low, high))
        if name in CATEGORIES:
            for code, label in enumerate(CATEGORIES[name]):
                found[f"{name}={label}"] = (values == code).astype(np.float32)
        else:
            found[name] = values.astype(np.float32)
        if cleaning.indicator:
            found[f"{name} is missing"] = missing.astype(np.float32)
    return found


@st.composite
def matrices(draw) -> tuple[np.ndarray, np.ndarray]:
    """Features to learn from and others to prepare, with holes of every size, as the derivation gives them."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    holes = draw(st.sampled_from([0.0, 0.2, 0.45, 0.7]))

    def some(count: int) -> np.ndarray:
        columns = generator.normal(0, draw(st.sampled_from([1, 1e6])), (count, 7)).round(draw(st.integers(0, 6)))
        columns[:, 2] = generator.integers(0, 4, count)
        columns[:, 5], columns[:, 6] = generator.integers(0, 3, count), generator.integers(0, 2, count)
        columns[generator.random(columns.shape) < holes] = np.nan
        return Derivation(CONTRACT).run(columns)

    return some(draw(st.integers(1, 40))), some(draw(st.integers(1, 40)))


@settings(max_examples=150, deadline=None)
@given(matrices(), st.booleans())
def test_the_graph_prepares_as_plain_words_say(case: tuple[np.ndarray, np.ndarray], impute: bool) -> None:
    train, rows = case
    wanted = oracle(train, rows, impute=impute)
    if not wanted:
        with pytest.raises(UserError, match="no feature has a value in half of the rows"):
            Preparation(CONTRACT, train, impute=impute)
        return
    preparation = Preparation(CONTRACT, train, impute=impute)
    design = preparation.transform(rows)
    assert design.dtype == np.float32
    assert set(preparation.names) == set(wanted)
    for position, name in enumerate(preparation.names):
        np.testing.assert_array_equal(design[:, position], wanted[name], err_msg=name)


def filled(count: int = 40) -> np.ndarray:
    generator = np.random.default_rng(0)
    columns = generator.normal(0, 1, (count, 7))
    columns[:, [2, 5, 6]] = generator.integers(0, 2, (count, 3))
    return Derivation(CONTRACT).run(columns)


def test_with_imputation_no_null_is_left_in_the_design() -> None:
    train = filled()
    rows = np.full((3, len(FEATURES)), np.nan)
    assert not np.isnan(Preparation(CONTRACT, train, impute=True).transform(rows)).any()


def test_without_imputation_nulls_reach_the_booster_where_the_contract_fills_none() -> None:
    preparation = Preparation(CONTRACT, filled(), impute=False)
    null = np.isnan(preparation.transform(np.full((1, len(FEATURES)), np.nan)))[0]
    assert [name for name, is_null in zip(preparation.names, null, strict=True) if is_null] == [
        "plain", "capped", "twice", "is_high",
    ]  # fmt: skip


def test_a_missing_category_is_none_of_them() -> None:
    preparation = Preparation(CONTRACT, filled(), impute=True)
    design = preparation.transform(np.full((1, len(FEATURES)), np.nan))[0]
    kinds = [value for name, value in zip(preparation.names, design, strict=True) if name.startswith("kind=")]
    assert kinds == [0, 0, 0]


def test_a_feature_that_is_mostly_missing_is_dropped_and_reported_with_its_indicator() -> None:
    train = filled()
    train[:21, 2] = np.nan
    preparation = Preparation(CONTRACT, train, impute=True)
    assert preparation.dropped == ("usual",)
    assert not [name for name in preparation.names if name.startswith("usual")]
    train[20, 2] = 1.0
    assert Preparation(CONTRACT, train, impute=True).dropped == ()


def test_what_is_learned_comes_from_the_rows_it_is_fitted_on_alone() -> None:
    train, rows = filled(), filled(20) * 1e3
    preparation = Preparation(CONTRACT, train, impute=True)
    alone = preparation.transform(rows[:1])
    assert np.array_equal(preparation.transform(rows)[:1], alone)


def test_every_design_column_knows_the_feature_it_comes_from() -> None:
    preparation = Preparation(CONTRACT, filled(), impute=True)
    assert len(preparation.names) == len(set(preparation.names)) == len(preparation.origins)
    for name, origin in zip(preparation.names, preparation.origins, strict=True):
        assert name.startswith(origin)
        assert origin in FEATURES


def test_a_contract_of_categories_alone_is_prepared_as_well() -> None:
    only: Contract = msgspec.structs.replace(CONTRACT, columns={"kind": CONTRACT.columns["kind"]}, derived={})
    design = Preparation(only, np.array([[0.0], [2.0]]), impute=False).transform(np.array([[1.0], [np.nan]]))
    assert design.tolist() == [[0, 1, 0], [0, 0, 0]]


def test_the_design_graph_leads_from_columns_to_the_same_design() -> None:
    generator = np.random.default_rng(5)
    columns = generator.normal(0, 1, (30, 7))
    columns[:, [2, 5, 6]] = generator.integers(0, 2, (30, 3))
    columns[generator.random(columns.shape) < 0.2] = np.nan
    preparation = Preparation(CONTRACT, Derivation(CONTRACT).run(columns), impute=False)
    graph = Graph(design_model(CONTRACT, preparation).SerializeToString())
    np.testing.assert_array_equal(graph.run(columns)[0], preparation.transform(Derivation(CONTRACT).run(columns)))
