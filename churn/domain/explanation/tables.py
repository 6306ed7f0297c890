"""Trees of moderate depth, all that they can say of a row worked out beforehand (compare Fast TreeSHAP: Yang 2021).

The outcomes of a group's tests are the bits of a number, which finds the line of a table that says what the group is
worth to each of its columns. A row then costs a comparison for each test, a line for each group, and a sum."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from churn.domain.explanation.groups import Groups
from churn.domain.explanation.paths import Matrix, Paths, paths, summed
from churn.domain.explanation.trees import Places, Trees

TESTS = 8
LARGEST_BYTES = 64 << 20
_AT_ONCE = 500_000
_ROWS_AT_ONCE = 16


class Tables:
    """The tables of `trees` whose design columns are told as the columns `told_as` (m,), of `columns` many.

    Threads may share them. Raises ValueError for trees whose tables would be too large."""

    def __init__(self, trees: Trees, told_as: Places, columns: int) -> None:
        groups, ways = Groups(trees, TESTS), paths(trees)
        lines = 1 << groups.size
        self._told_as, slots = _slots(groups.of_leaf, np.append(told_as, columns)[ways.feature], columns)
        if 4 * lines.sum() * self._told_as.shape[1] > LARGEST_BYTES:
            raise ValueError(f"tables of more than {LARGEST_BYTES >> 20} MB")
        self.base, self._columns = ways.base, columns
        self._first = np.cumsum(lines) - lines
        self._lines = _worked_out(ways, groups, self._first[groups.of_leaf], slots, self._told_as.shape[1])
        nodes = groups.tests(TESTS)
        there = nodes >= 0
        self._feature = np.where(there, trees.feature[nodes], 0).ravel()
        self._threshold = np.where(there, trees.threshold[nodes], np.float32(-np.inf)).ravel()
        self._null_left = (there & trees.null_left[nodes]).ravel()
        self._told_as = self._told_as.ravel()

    @property
    def nbytes(self) -> int:
        """The size of the tables in memory."""
        return self._lines.nbytes

    def explain(self, design: npt.NDArray[np.float32]) -> Matrix:
        """By contract column (n, k) for a design matrix (n, m)."""
        rows = range(0, len(design), _ROWS_AT_ONCE)
        parts = [self._explain(design[row : row + _ROWS_AT_ONCE]) for row in rows]
        return parts[0] if len(parts) == 1 else np.concatenate([np.zeros((0, self._columns)), *parts])

    def _explain(self, design: npt.NDArray[np.float32]) -> Matrix:
        values = design.take(self._feature, axis=1)
        leftward = values < self._threshold
        if np.isnan(design).any():
            leftward |= np.isnan(values) & self._null_left
        outcome = np.packbits(leftward, axis=1, bitorder="little")
        return summed(self._lines.take(outcome + self._first, axis=0), self._told_as, self._columns)


def _slots(group: Places, told_as: Places, columns: int) -> tuple[Places, Places]:
    """The columns (G, C) that each group has something to say of, and the slots (L, U) among them of what leaves test.

    `columns` stands for none: its slot may be anyone's, for it is worth nothing."""
    keys = group[:, None] * (columns + 1) + told_as
    known = np.unique(keys[told_as < columns])
    owner, column = known // (columns + 1), known % (columns + 1)
    slot = np.arange(len(known)) - np.searchsorted(owner, owner)
    found = np.full((int(group.max()) + 1, int(slot.max(initial=0)) + 1), columns)
    found[owner, slot] = column
    places = np.minimum(np.searchsorted(known, keys), max(0, len(known) - 1))
    return found, np.where(told_as < columns, slot[places] if len(known) else 0, 0)


def _worked_out(ways: Paths, groups: Groups, first: Places, slots: Places, width: int) -> npt.NDArray[np.float32]:
    """The lines of all tables; a leaf's begin at `first` (L,)."""
    found = np.zeros(int((1 << groups.size).sum()) * width)
    bits, size = groups.bits(ways.node), groups.size[groups.of_leaf]
    for tests in np.unique(size):
        alike = np.nonzero(size == tests)[0]
        outcomes = np.arange(1 << tests)[:, None, None]
        for leaves in np.array_split(alike, -(-alike.size * outcomes.size // _AT_ONCE)):
            way = ways.of(leaves)
            leftward = (outcomes >> bits[leaves] & 1).astype(np.bool_)
            worth = way.worth(way.passed((leftward == way.leftward) | (way.node < 0)))
            lines = (first[leaves] + outcomes[:, :, 0])[:, :, None] * width + slots[leaves]
            np.add.at(found, lines.ravel(), worth.ravel())
    return found.reshape(-1, width).astype(np.float32)
