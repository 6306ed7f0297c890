from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from churn.domain import rules
from churn.domain.contract import parse

SHOP = """
name: shop
key: {column: customer}
event_timestamp: {column: seen}
target: {column: gone, positive: 1}
columns:
  plan: {type: category, categories: [basic, plus]}
  region: {type: category, categories: [a, b, c, d, e, f, g, h, i, j], nullable: true}
  visits: {type: integer, range: [0, 100]}
  spend: {type: number, range: [null, 10.5], nullable: true}
  since: {type: number, range: [2000, null], cleaning: {constant: 2020}}
  score: {type: number}
"""
CONTRACT = parse(SHOP)


def broken(column: str, values: list[object]) -> dict[str, list[bool]]:
    """Which values break which of a column's rules."""
    array = pa.array(values)
    return {rule.name: rule.broken(array).to_pylist() for rule in rules.of(CONTRACT, column)}


def problems(column: str) -> list[str]:
    return [rule.problem for rule in rules.of(CONTRACT, column)]


def test_a_column_that_is_not_nullable_must_have_a_value() -> None:
    assert broken("score", [1.0, None])["not_null"] == [False, True]


def test_null_breaks_no_rule_of_a_nullable_column() -> None:
    assert broken("spend", [None, 10.5, 10.51]) == {"held": [False, False, False], "at_most": [False, False, True]}
    assert broken("region", [None, "a", "z"]) == {"known_category": [False, False, True]}


def test_null_is_allowed_where_a_constant_takes_its_place() -> None:
    assert broken("since", [None, 2000.0, 1999.0])["at_least"] == [False, False, True]


def test_a_range_includes_both_its_ends() -> None:
    found = broken("visits", [-1, 0, 100, 101])

    assert found["at_least"] == [True, False, False, False]
    assert found["at_most"] == [False, False, False, True]


def test_a_number_that_no_model_could_hold_is_none_where_the_range_does_not_say_so() -> None:
    most = float(np.finfo(np.float32).max)
    assert broken("score", [most, -most, 3.5e38, -1.8e308])["held"] == [False, False, True, True]
    assert "held" not in broken("visits", [1])
    assert problems("score") == ["is missing", "is more than 3.403e+38 away from 0"]


def test_only_listed_categories_are_known() -> None:
    assert broken("plan", ["basic", "Basic", ""])["known_category"] == [False, True, True]


@pytest.mark.parametrize("column", ["customer", "event_timestamp"])
def test_key_and_timestamp_must_be_there(column: str) -> None:
    assert [rule.name for rule in rules.of(CONTRACT, column)] == ["not_null"]


def test_a_target_may_be_missing() -> None:
    assert rules.of(CONTRACT, "gone") == []


def test_a_problem_completes_the_sentence_the_value() -> None:
    assert problems("plan") == ["is missing", "is none of 'basic', 'plus'"]
    assert problems("visits") == ["is missing", "is below 0", "is above 100"]
    assert problems("region") == ["is none of 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h' and 2 more"]
