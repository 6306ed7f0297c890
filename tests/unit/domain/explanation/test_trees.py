"""Contributions of trees, against the definition: every subset of features, weighed as Shapley does."""

from __future__ import annotations

from itertools import combinations
from math import factorial, nan
from pathlib import Path

import numpy as np
import pytest

from churn.domain.explanation.additive import Walked
from churn.domain.explanation.tables import Tables
from churn.domain.explanation.trees import Trees

LEAF = -1


def trees(*nodes: tuple[int, float, bool, int, int, float, float]) -> Trees:
    kinds = (np.int64, np.float32, np.bool_, np.int64, np.int64, np.float64, np.float64)
    return Trees(*(np.array(part, kind) for part, kind in zip(zip(*nodes, strict=True), kinds, strict=True)))


def leaf(value: float, cover: float) -> tuple[int, float, bool, int, int, float, float]:
    return LEAF, 0.0, False, LEAF, LEAF, value, cover


def question(feature: int, threshold: float, left: int, right: int, cover: float, null_left: bool = False):
    return feature, threshold, null_left, left, right, 0.0, cover


SOME = trees(
    question(0, 0.5, 1, 2, 100, null_left=True),
    question(1, 0.0, 3, 4, 70),
    question(2, 1.0, 5, 6, 30),
    leaf(-1.0, 20),
    question(0, -0.5, 7, 8, 50),
    leaf(0.5, 12),
    question(1, 2.0, 9, 10, 18, null_left=True),
    leaf(2.0, 10),
    leaf(-0.25, 40),
    leaf(1.5, 15),
    leaf(-3.0, 3),
    leaf(0.75, 1),
    question(2, 0.0, 13, 14, 60),
    leaf(0.1, 45),
    leaf(-0.2, 15),
)
"""Three trees: one that asks twice about a feature on the same way, a constant, and a single question."""

ROWS = np.array(
    [[-1, 1, 0], [0, 1, 0], [0, -1, 5], [2, 1, 3], [2, 3, 3], [nan, nan, nan], [nan, 3, 0], [1, nan, 2]], np.float32
)


def expected(at: int, row: np.ndarray, known: frozenset[int]) -> float:
    """What a tree says when only some features are known: both sides, by their cover, of a question about another."""
    if SOME.left[at] < 0:
        return float(SOME.value[at])
    left, right, feature = int(SOME.left[at]), int(SOME.right[at]), int(SOME.feature[at])
    if feature in known:
        null = np.isnan(row[feature])
        goes_left = SOME.null_left[at] if null else row[feature] < SOME.threshold[at]
        return expected(left if goes_left else right, row, known)
    share = SOME.cover[left] / SOME.cover[at]
    return share * expected(left, row, known) + (1 - share) * expected(right, row, known)


def shapley(row: np.ndarray, feature: int) -> float:
    others, total = [one for one in range(3) if one != feature], 0.0
    roots = np.nonzero(SOME.parent < 0)[0]
    for size in range(3):
        weight = factorial(size) * factorial(2 - size) / factorial(3)
        for some in combinations(others, size):
            with_it, without = frozenset({*some, feature}), frozenset(some)
            total += weight * sum(
                expected(int(root), row, with_it) - expected(int(root), row, without) for root in roots
            )
    return total


@pytest.mark.parametrize("kind", [Tables, Walked])
def test_contributions_are_shapley_values_over_the_covers(kind) -> None:
    found = kind(SOME, np.arange(3), 3).explain(ROWS)
    assert found == pytest.approx(np.array([[shapley(row, feature) for feature in range(3)] for row in ROWS]), abs=1e-6)


@pytest.mark.parametrize("kind", [Tables, Walked])
def test_with_the_base_they_add_up_to_what_the_trees_say(kind) -> None:
    explained = kind(SOME, np.arange(3), 3)
    known = frozenset({0, 1, 2})
    said = [sum(expected(int(root), row, known) for root in np.nonzero(SOME.parent < 0)[0]) for row in ROWS]
    assert explained.explain(ROWS).sum(axis=1) + explained.base == pytest.approx(said, abs=1e-6)


@pytest.mark.parametrize("kind", [Tables, Walked])
def test_design_columns_of_one_contract_column_are_told_together(kind) -> None:
    apart, together = kind(SOME, np.arange(3), 3).explain(ROWS), kind(SOME, np.array([1, 0, 1]), 2).explain(ROWS)
    assert together == pytest.approx(np.column_stack([apart[:, 1], apart[:, 0] + apart[:, 2]]), abs=1e-6)


@pytest.mark.parametrize("kind", [Tables, Walked])
def test_a_constant_is_all_base(kind) -> None:
    explained = kind(trees(leaf(0.5, 3), leaf(-2.0, 1)), np.arange(3), 3)
    assert explained.base == -1.5
    assert np.array_equal(explained.explain(ROWS), np.zeros((len(ROWS), 3)))


def chain(length: int) -> Trees:
    """A tree that asks one question after another, each behind the one before."""
    nodes = []
    for at in range(length):
        nodes += [question(at % 3, 1 - at / 8, 2 * at + 1, 2 * at + 2, 2.0 ** (length - at)), leaf(at, 1.0)]
    return trees(*nodes, leaf(1.0, 0.5))


@pytest.mark.parametrize("length", [1, 2, 7, 8])
def test_a_way_of_up_to_eight_tests_fits_into_tables(length: int) -> None:
    tree = chain(length)
    assert Tables(tree, np.arange(3), 3).explain(ROWS) == pytest.approx(
        Walked(tree, np.arange(3), 3).explain(ROWS), abs=1e-5
    )


def test_longer_ways_do_not() -> None:
    with pytest.raises(ValueError, match="more than 8 tests"):
        Tables(chain(9), np.arange(3), 3)


def test_trees_survive_being_written_and_read(tmp_path: Path) -> None:
    SOME.write(tmp_path / "trees.npy")
    read = Trees.read(tmp_path / "trees.npy")
    for name in ("feature", "threshold", "null_left", "left", "right", "value", "cover"):
        assert np.array_equal(getattr(read, name), getattr(SOME, name))
        assert getattr(read, name).dtype == getattr(SOME, name).dtype
