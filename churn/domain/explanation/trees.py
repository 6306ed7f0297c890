"""Trees whose values add up to a model's log-odds, whatever library grew them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

FILE = "trees.npy"

_NODE = np.dtype(
    [
        ("feature", "<i4"),
        ("threshold", "<f4"),
        ("null_left", "?"),
        ("left", "<i4"),
        ("right", "<i4"),
        ("value", "<f8"),
        ("cover", "<f8"),
    ]
)

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Trees:
    """All nodes of all trees as arrays (N,); `left` and `right` are places in them, -1 for a leaf.

    A row goes left where its value of the design column `feature` is below `threshold` (both float32), or null and
    `null_left`. `cover` is the weight of the training rows that came by. A root is nobody's child."""

    feature: Places
    threshold: npt.NDArray[np.float32]
    null_left: npt.NDArray[np.bool_]
    left: Places
    right: Places
    value: npt.NDArray[np.float64]
    cover: npt.NDArray[np.float64]

    @property
    def leaves(self) -> Places:
        """Places of the leaves."""
        return np.nonzero(self.left < 0)[0]

    @cached_property
    def parent(self) -> Places:
        """The node above each node; -1 above a root."""
        found = np.full(len(self.left), -1)
        inner = np.nonzero(self.left >= 0)[0]
        found[self.left[inner]] = found[self.right[inner]] = inner
        return found

    def write(self, path: Path) -> None:
        """Stores the trees as one array of nodes in NumPy's own format."""
        nodes = np.empty(len(self.left), _NODE)
        for name in _NODE.names or ():
            nodes[name] = getattr(self, name)
        with path.open("wb") as file:
            np.save(file, nodes, allow_pickle=False)

    @staticmethod
    def read(path: Path) -> Trees:
        """Trees that were written."""
        nodes = np.load(path, allow_pickle=False)
        parts = (np.ascontiguousarray(nodes[name]) for name in _NODE.names or ())
        feature, threshold, null_left, left, right, value, cover = parts
        return Trees(
            feature.astype(np.int64), threshold, null_left, left.astype(np.int64), right.astype(np.int64), value, cover
        )
