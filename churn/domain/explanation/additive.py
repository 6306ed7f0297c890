"""Models whose log-odds are a sum of trees: XGBoost, LightGBM, gradient boosting.

Their tables give a row's contributions in 50 us (200 trees of depth 5), where XGBoost's own take 1.1 ms, and import no
library (tests/benchmarks/explanations.py)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from churn.domain.bundle import Bundle
from churn.domain.explanation.contributions import Contributions, Matrix
from churn.domain.explanation.paths import paths, summed
from churn.domain.explanation.tables import Tables
from churn.domain.explanation.trees import FILE, Places, Trees

_AT_ONCE = 1_000_000


class Additive:
    """The trees of a bundle: as tables, or leaf by leaf where these would be too large."""

    def __init__(self, bundle: Bundle) -> None:
        self._design = bundle.design
        trees, columns = Trees.read(bundle.folder / FILE), len(bundle.contract.raw)
        self._trees: Tables | Walked
        try:
            self._trees = Tables(trees, bundle.told_as, columns)
        except ValueError:
            self._trees = Walked(trees, bundle.told_as, columns)

    def explain(self, columns: Matrix) -> Contributions:
        """Contributions for columns (n, k)."""
        return Contributions(self._trees.explain(self._design.run(columns)[0]), self._trees.base, exact=True)


class Walked:
    """Trees of any shape, every leaf worked out for every row."""

    def __init__(self, trees: Trees, told_as: Places, columns: int) -> None:
        self._trees, self._paths, self._columns = trees, paths(trees), columns
        self._told_as = np.append(told_as, columns)[self._paths.feature].ravel()
        self.base = self._paths.base

    def explain(self, design: npt.NDArray[np.float32]) -> Matrix:
        """By contract column (n, k) for a design matrix (n, m)."""
        step = max(1, _AT_ONCE // max(1, self._paths.node.size))
        parts = [self._explain(design[row : row + step]) for row in range(0, len(design), step)]
        return np.concatenate([np.zeros((0, self._columns)), *parts])

    def _explain(self, design: npt.NDArray[np.float32]) -> Matrix:
        trees, ways = self._trees, self._paths
        values = design[:, np.maximum(trees.feature, 0)]
        leftward = (values < trees.threshold) | (np.isnan(values) & trees.null_left)
        passed = ways.passed((leftward[:, ways.node] == ways.leftward) | (ways.node < 0))
        return summed(ways.worth(passed), self._told_as, self._columns)
