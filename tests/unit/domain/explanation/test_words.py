from __future__ import annotations

from math import nan

import numpy as np
import pytest

from churn.domain import contract
from churn.domain.explanation import Contributions, Reason, reasons, strongest
from churn.domain.explanation.words import value_in_words

SHOP = contract.parse("""
name: shop
target: {column: gone, positive: 1}
columns:
  contract_term: {type: category, categories: [Month-to-month, One year], nullable: true}
  tenure: {type: integer, unit: months, label: time with the company}
  charge: {type: number, unit: USD a month, nullable: true}
  rate: {type: number}
""")


def given(*rows: list[float]) -> Contributions:
    return Contributions(np.array(rows, np.float64), -1.0, exact=True)


def test_reasons_are_the_strongest_contributions_in_words() -> None:
    columns = np.array([[0, 2, 70.35, 0.5], [1, 60, nan, 0.5]])
    found = reasons(SHOP, columns, given([0.8, -0.9, 0.1, 0.2], [-1.5, 0.0, 0.3, 0.0]), top=3)
    assert found[0] == [
        Reason("tenure", "2 months", -0.9, "lowers", "time with the company is 2 months: lowers the risk"),
        Reason("contract_term", "Month-to-month", 0.8, "raises", "contract term is Month-to-month: raises the risk"),
        Reason("rate", "0.5", 0.2, "raises", "rate is 0.5: raises the risk"),
    ]
    assert [reason.text for reason in found[1]] == [
        "contract term is One year: lowers the risk",
        "charge is not known: raises the risk",
    ]


def test_what_adds_nothing_is_no_reason() -> None:
    assert reasons(SHOP, np.zeros((1, 4)), given([0, 0, 0, 0]), top=4) == [[]]
    assert reasons(SHOP, np.zeros((0, 4)), Contributions(np.zeros((0, 4)), 0.0, exact=True), top=4) == []


def test_equal_contributions_are_told_in_the_contracts_order() -> None:
    [found] = reasons(SHOP, np.zeros((1, 4)), given([0.5, -0.5, 0.5, 0]), top=2)
    assert [reason.column for reason in found] == ["contract_term", "tenure"]


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("tenure", 1, "1 months"),
        ("tenure", 0, "0 months"),
        ("charge", 1234567.891, "1,234,567.89 USD a month"),
        ("charge", 100.0, "100 USD a month"),
        ("charge", 99.999, "100 USD a month"),
        ("charge", -20.5, "-20.5 USD a month"),
        ("rate", 0.123456, "0.123"),
        ("rate", 0.00001234, "1.23e-05"),
        ("rate", 3e20, "3e+20"),
        ("rate", nan, "not known"),
        ("contract_term", nan, "not known"),
    ],
)
def test_values_are_told_as_people_read_them(column: str, value: float, words: str) -> None:
    assert value_in_words(SHOP, column, value) == words


def test_the_strongest_reason_is_the_one_that_raises_the_risk_most() -> None:
    found = given([0.1, -5, 0.3, 0.2], [-1, -2, -3, -4], [0, 0, 0, 0])
    assert strongest(SHOP, found) == ["charge", None, None]
    assert strongest(SHOP, Contributions(np.zeros((0, 4)), 0.0, exact=True)) == []
