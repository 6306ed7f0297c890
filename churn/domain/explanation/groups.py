"""Trees cut into groups of leaves that are decided by few tests together."""

from __future__ import annotations

import numpy as np

from churn.domain.explanation.paths import Flags
from churn.domain.explanation.trees import Places, Trees


class Groups:
    """A group is the leaves below a `root` (G,), the highest node that has at most `most` tests above and below it.

    `of_leaf` (L,) is each leaf's group, `size` (G,) how many tests decide it. Raises ValueError for a leaf that lies
    behind more."""

    def __init__(self, trees: Trees, most: int) -> None:
        self._trees = trees
        inner = trees.left >= 0
        self._depth, below = _above_and_below(trees)
        tests = self._depth + below
        if (tests[~inner] > most).any():
            raise ValueError(f"a leaf lies behind more than {most} tests")
        self._top = _highest(trees, tests <= most)
        self.root, self.of_leaf = np.unique(self._top[~inner], return_inverse=True)
        self.size = tests[self.root]
        self._shared = inner & (tests > most)
        self._bit = self._numbered(inner & ~self._shared)

    def _numbered(self, own: Flags) -> Places:
        """Each test's bit: those above the root by depth, then the `own` tests of the group one after another."""
        bit = self._depth.copy()
        nodes = np.nonzero(own)[0]
        nodes = nodes[np.argsort(self._top[nodes], kind="stable")]
        tops = self._top[nodes]
        bit[nodes] = self._depth[tops] + np.arange(len(nodes)) - np.searchsorted(tops, tops)
        return bit

    def bits(self, tests: Places) -> Places:
        """The bits (L, D) of the tests on the ways to the leaves, each in its leaf's group; 0 for no test."""
        root = self.root[self.of_leaf][:, None]
        above = self._depth[tests] < self._depth[root]
        return np.where(tests < 0, 0, np.where(above, self._depth[tests], self._bit[tests]))

    def tests(self, most: int) -> Places:
        """The tests (G, most) of each group in the order of its bits, -1 where there are fewer."""
        trees, found = self._trees, np.full((len(self.root), most), -1)
        own = np.nonzero((trees.left >= 0) & ~self._shared)[0]
        found[np.searchsorted(self.root, self._top[own]), self._bit[own]] = own
        here = self.root
        while (there := (here := np.where(here < 0, -1, trees.parent[here])) >= 0).any():
            found[np.nonzero(there)[0], self._depth[here[there]]] = here[there]
        return found


def _above_and_below(trees: Trees) -> tuple[Places, Places]:
    """How many tests lie above each node, and how many at or below it."""
    inner = np.nonzero(trees.left >= 0)[0]
    above, below = np.zeros(len(trees.left), np.int64), np.zeros(len(trees.left), np.int64)
    below[inner] = 1
    here = trees.parent
    while (here >= 0).any():
        above += here >= 0
        here = np.where(here < 0, -1, trees.parent[here])
    here = trees.parent[inner]
    while (here := here[here >= 0]).size:
        np.add.at(below, here, 1)
        here = trees.parent[here]
    return above, below


def _highest(trees: Trees, eligible: Flags) -> Places:
    """For each node the highest eligible one at or above it, or itself."""
    found = np.arange(len(eligible))
    here = found
    while (here >= 0).any():
        found = np.where((here >= 0) & eligible[here], here, found)
        here = np.where(here < 0, -1, trees.parent[here])
    return found
