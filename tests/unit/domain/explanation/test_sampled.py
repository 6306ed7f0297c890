"""Sampled contributions, against the definition over the same background rows."""

from __future__ import annotations

from itertools import combinations
from math import factorial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from churn.domain import bundle, contract, encoding
from churn.domain.bundle import Bundle
from churn.domain.explanation.sampled import EDGE, Sampled
from tests.bundles import training_rows, write_bundle

SMALL = """
name: small
key: {column: id}
target: {column: gone, positive: "yes"}
columns:
  plan: {type: category, categories: [basic, plus]}
  visits: {type: integer}
  spend: {type: number, nullable: true}
  rating: {type: number, nullable: true}
derived:
  per_visit: {formula: spend / visits, told_as: spend}
"""


def opened(folder: Path, columns: int) -> Bundle:
    text = SMALL if columns == 4 else SMALL[: SMALL.index("  spend")]
    write_bundle(folder, contract.parse(text), estimator="forest")
    return bundle.load(folder)


def rows_of(of: Bundle, count: int) -> np.ndarray:
    return training_rows(of.contract, 9)[0][:count]


def logit(p: np.ndarray) -> np.ndarray:
    kept = np.clip(p, EDGE, 1 - EDGE)
    return np.log(kept) - np.log1p(-kept)


def exact(of: Bundle, row: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Shapley values by every subset of columns, the others taken from each background row in turn."""
    width = len(row)

    def says(known: frozenset[int]) -> float:
        mixed = np.where(np.isin(np.arange(width), list(known)), row, background)
        return float(logit(of.predict(mixed)).mean())

    found = np.zeros(width)
    for column in range(width):
        others = [one for one in range(width) if one != column]
        for size in range(width):
            weight = factorial(size) * factorial(width - 1 - size) / factorial(width)
            for some in combinations(others, size):
                found[column] += weight * (says(frozenset({*some, column})) - says(frozenset(some)))
    return found


def background_of(of: Bundle) -> np.ndarray:
    return encoding.encode(of.contract, pq.read_table(of.folder / "reference.parquet").select(of.contract.raw))


def test_of_two_columns_every_order_is_taken_so_that_values_are_exact(tmp_path: Path) -> None:
    of = opened(tmp_path / "small", 2)
    background, rows = background_of(of), rows_of(of, 10)
    found = Sampled(of, len(background)).explain(rows).values
    assert found == pytest.approx(np.array([exact(of, row, background) for row in rows]), abs=1e-9)


def test_of_more_columns_values_are_near_the_exact_ones(tmp_path: Path) -> None:
    of = opened(tmp_path / "small", 4)
    background, rows = background_of(of), rows_of(of, 8)
    found = Sampled(of, len(background)).explain(rows)
    truth = np.array([exact(of, row, background) for row in rows])
    assert np.abs(found.values - truth).max() <= 0.1 * np.abs(truth).max()
    assert not found.exact


def test_values_and_base_add_up_whatever_the_sample(tmp_path: Path) -> None:
    of = opened(tmp_path / "small", 4)
    rows = rows_of(of, 30)
    for background in (1, 5, 40):
        found = Sampled(of, background).explain(rows)
        assert found.values.sum(axis=1) + found.base == pytest.approx(logit(of.predict(rows)), abs=1e-9)


def test_the_same_row_is_explained_alike_wherever_it_stands(tmp_path: Path) -> None:
    of = opened(tmp_path / "small", 4)
    rows = rows_of(of, 6)
    first = Sampled(of).explain(rows).values
    second = Sampled(of).explain(rows[::-1]).values[::-1]
    assert np.array_equal(first, second)


def test_other_bits_of_the_same_value_change_nothing(tmp_path: Path) -> None:
    of = opened(tmp_path / "small", 4)
    row = np.array([[0.0, 3.0, np.nan, 2.0]])
    other = np.array([[-0.0, 3.0, -np.nan, 2.0]])
    assert np.array_equal(Sampled(of).explain(row).values, Sampled(of).explain(other).values)


def test_a_mixture_without_a_finite_value_changes_nothing_by_itself(tmp_path: Path) -> None:
    """Nothing spent and no visits has no spend per visit; a row without either, mixed with others, comes by there."""
    of = opened(tmp_path / "small", 4)
    row = np.array([[1.0, 0.0, np.nan, 4.0]])
    found = Sampled(of).explain(row)
    assert np.isfinite(found.values).all()
    assert found.values.sum() + found.base == pytest.approx(logit(of.predict(row))[0], abs=1e-9)
