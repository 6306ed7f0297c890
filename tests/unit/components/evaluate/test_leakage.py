from __future__ import annotations

import numpy as np
import pytest

from churn.domain.contract import parse
from churn.domain.errors import UserError
from components.evaluate.leakage import feature_auc, refuse_leaking_columns

GENERATOR = np.random.default_rng(3)
Y = (GENERATOR.uniform(size=4000) < 0.25).astype(float)
CHANCE = pytest.approx(0.5, abs=0.03)


def test_a_column_of_noise_tells_nothing() -> None:
    assert feature_auc(GENERATOR.normal(size=len(Y)), Y, categorical=False) == CHANCE
    assert feature_auc(GENERATOR.integers(0, 40, len(Y)).astype(float), Y, categorical=True) == CHANCE
    assert feature_auc(np.zeros(len(Y)), Y, categorical=False) == 0.5


def test_a_column_that_is_null_everywhere_tells_nothing() -> None:
    assert feature_auc(np.full(len(Y), np.nan), Y, categorical=False) == 0.5
    assert feature_auc(np.full(len(Y), np.nan), Y, categorical=True) == 0.5


@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_is_judged_in_either_direction(sign: int) -> None:
    assert feature_auc(sign * (Y + GENERATOR.normal(0, 0.1, len(Y))), Y, categorical=False) > 0.999


def test_a_number_with_a_winding_relation_does_not_hide() -> None:
    """A status of 3 among 1 to 5 means "closed"."""
    status = np.where(Y == 1, 3, GENERATOR.choice([1, 2, 4, 5], len(Y))).astype(float)
    assert feature_auc(status, Y, categorical=False) > 0.999


def test_a_rare_but_telling_value_is_found_by_its_rank() -> None:
    y = np.zeros(4000)
    y[:12] = 1
    assert feature_auc(y * 100 + GENERATOR.uniform(size=4000), y, categorical=False) > 0.999


def test_being_null_can_be_the_leak() -> None:
    reason = np.where(Y == 1, GENERATOR.uniform(size=len(Y)), np.nan)
    code = np.where(Y == 1, GENERATOR.integers(0, 3, len(Y)), np.nan)
    assert feature_auc(reason, Y, categorical=False) > 0.999
    assert feature_auc(code, Y, categorical=True) > 0.999


def test_categories_are_judged_by_rows_they_were_not_learned_from() -> None:
    """As many categories as rows would tell everything of the rows they were learned from, and nothing of others."""
    assert feature_auc(np.arange(len(Y), dtype=float), Y, categorical=True) == CHANCE


CONTRACT = parse(
    """
name: shop
target: {column: gone, positive: 1}
columns: {fee: {type: number, source: Final Fee}, age: {type: integer}}
derived: {old: {flag: age > 60, told_as: age}}
"""
)


def test_a_leaking_column_is_named_with_table_and_remedy() -> None:
    with pytest.raises(UserError) as error:
        refuse_leaking_columns(CONTRACT, {"fee": 0.97, "old": 0.6, "age": 0.5}, "customers.csv")
    assert str(error.value) == (
        "customers.csv, column Final Fee: tells on its own who left (AUC 0.970, the contract allows 0.95), as only "
        "what is recorded afterwards can (remove fee from the contract's columns; if it is truly known in time, "
        "raise gate.leak_auc)"
    )


def test_derived_features_are_left_to_the_gate() -> None:
    refuse_leaking_columns(CONTRACT, {"old": 0.99, "fee": 0.95, "age": 0.5})
