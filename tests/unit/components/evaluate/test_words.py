from __future__ import annotations

import pytest

from components.evaluate.words import at_least, at_most, decimals, number, spread


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12345.6, "12,346"),
        (83.14, "83.1"),
        (8.1, "8.1"),
        (0.8461, "0.846"),
        (0.00412, "0.0041"),
        (2.1e-7, "2.1e-07"),
        (0.0, "0"),
        (-0.5, "-0.500"),
        (float("nan"), "not a number"),
        (None, "not a number"),
    ],
)
def test_numbers_have_as_many_digits_as_people_need(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("mean", "deviation", "text"),
    [
        (0.85, 0.015, "0.850 ± 0.015"),
        (0.00675, 0.00047, "0.0067 ± 0.0005"),
        (0.5, None, "0.500"),
        (None, None, "not a number"),
    ],
)
def test_mean_and_deviation_have_the_same_decimals(mean: float | None, deviation: float | None, text: str) -> None:
    assert spread(mean, deviation) == text


def test_two_digits_of_a_small_value_are_shown() -> None:
    assert [decimals(value) for value in (0.3, 0.012, 0.0012, 0.00003, 0.0)] == [3, 3, 4, 6, 3]


def test_a_clause_says_on_which_side_of_the_bound_a_value_lies() -> None:
    assert at_least(0.71, 0.78) == "0.710 is below 0.78"
    assert at_least(0.78, 0.78) == "0.780 is at least 0.78"
    assert at_most(8.1, 2, " ms") == "8.1 ms is above 2 ms"
    assert at_most(float("nan"), 2) == "not a number is above 2"


def test_a_value_next_to_its_bound_is_told_apart_from_it() -> None:
    assert at_least(0.77996, 0.78) == "0.77996 is below 0.78"
    assert at_most(2.0004, 2) == "2.0004 is above 2"
