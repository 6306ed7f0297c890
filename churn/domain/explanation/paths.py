"""What each leaf is worth to each feature on the way to it: the formula, and its evaluation for trees of any shape.

Let the way to a leaf of value v test d features. Feature j is worth
    v (o_j - z_j) * integral over t in [0, 1] of  prod_{i != j} (z_i (1 - t) + o_i t)
where o_i says whether the row passes all tests of feature i there, and z_i is the share of training rows that do: the
integral weighs all subsets as Shapley does, for int t^s (1 - t)^(d-1-s) dt = s! (d-1-s)! / d!, and Gauss's points give
that of a polynomial exactly (compare Yu et al. 2022, Linear TreeSHAP). The sum over all leaves is the path-dependent
Shapley value of Lundberg et al. 2020."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from churn.domain.explanation.trees import Places, Trees

Matrix = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_LEAST = 1e-12


@dataclass(frozen=True)
class Paths:
    """The ways to L leaves, of at most D tests on at most U features; shorter ones are filled up.

    `node` (L, D) are the tests, -1 where there is none; `leftward` (L, D) the side each lets pass; `slot` (L, D) the
    place of its feature among the leaf's own. `share` (L, U) are the z of these features and `feature` (L, U) their
    design columns, -1 where there is none; `value` (L,) the leaves' own."""

    node: Places
    leftward: Flags
    slot: Places
    share: Matrix
    feature: Places
    value: Matrix

    @property
    def base(self) -> float:
        """The expected value of the sum of all trees."""
        return float(self.value @ self.share.prod(axis=1))

    def passed(self, tests: Flags) -> Flags:
        """(..., L, U): whether each feature's tests are passed, of those (..., L, D) on the way."""
        found = np.ones((*tests.shape[:-1], self.share.shape[1]), np.bool_)
        leaves = np.arange(len(self.node))
        for step in range(self.node.shape[1]):
            found[..., leaves, self.slot[:, step]] &= tests[..., step]
        return found

    def worth(self, passed: Flags) -> Matrix:
        """(..., L, U): what each leaf is worth to each of its features, given which of them a row passes."""
        share, width = self.share, self.share.shape[1]
        points, weights = np.polynomial.legendre.leggauss(-(-width // 2) or 1)
        integral = np.zeros(passed.shape)
        for t, weight in zip((points + 1) / 2, weights / 2, strict=True):
            factors = np.where(passed, share * (1 - t) + t, share * (1 - t))
            integral += weight * factors.prod(axis=-1, keepdims=True) / factors
        worth: Matrix = self.value[:, None] * (passed - share) * integral
        return worth

    def of(self, leaves: Places) -> Paths:
        """The ways to some of the leaves."""
        node, leftward, slot = self.node[leaves], self.leftward[leaves], self.slot[leaves]
        return Paths(node, leftward, slot, self.share[leaves], self.feature[leaves], self.value[leaves])


def paths(trees: Trees) -> Paths:
    """The ways to all leaves of `trees`, in the order of `trees.leaves`."""
    node, leftward, share = _upwards(trees)
    feature = np.where(node < 0, np.iinfo(np.int64).max, trees.feature[node])
    order = np.argsort(feature, axis=1, kind="stable")
    node, leftward, share, feature = (np.take_along_axis(one, order, 1) for one in (node, leftward, share, feature))
    slot = np.cumsum(np.diff(feature, axis=1, prepend=feature[:, :1]) != 0, axis=1)
    width = int((np.where(node < 0, -1, slot).max(axis=1, initial=-1) + 1).max(initial=0)) or 1
    slot = np.minimum(slot, width - 1)
    shares, features = np.ones((len(node), width)), np.full((len(node), width), -1)
    leaves = np.arange(len(node))
    for step in range(node.shape[1]):
        there = node[:, step] >= 0
        at = leaves[there], slot[there, step]
        shares[at] *= share[there, step]
        features[at] = feature[there, step]
    return Paths(node, leftward, slot, np.maximum(shares, _LEAST), features, trees.value[trees.leaves])


def _upwards(trees: Trees) -> tuple[Places, Flags, Matrix]:
    """(L, D) each, from the leaf to the root: the test, the side it let pass, and the share of rows it let pass."""
    nodes, sides, shares = [], [], []
    here = trees.leaves
    while ((above := np.where(here < 0, -1, trees.parent[here])) >= 0).any():
        there = above >= 0
        nodes.append(above)
        sides.append(there & (trees.left[above] == here))
        shares.append(np.where(there, trees.cover[here] / np.where(there, trees.cover[above], 1.0), 1.0))
        here = above
    if not nodes:
        none = np.zeros((len(here), 0))
        return none.astype(np.int64), none.astype(np.bool_), none
    return np.column_stack(nodes), np.column_stack(sides), np.column_stack(shares)


def summed(worth: npt.NDArray[np.floating], told_as: Places, columns: int) -> Matrix:
    """(n, columns): worths (n, ...) added up by contract column, each of a row's `told_as` one; `columns` is none."""
    rows, width = len(worth), columns + 1
    places = told_as if rows == 1 else (np.arange(rows)[:, None] * width + told_as).ravel()
    found: Matrix = np.bincount(places, worth.ravel(), rows * width).astype(np.float64, copy=False)
    return found.reshape(rows, width)[:, :columns]
