"""A linear model explained: weight times the distance from the mean, of columns taken as independent."""

from __future__ import annotations

import numpy as np

from churn.domain.bundle import Bundle
from churn.domain.explanation.contributions import Contributions, Matrix


class Weights:
    """The weights on the design matrix that a bundle's manifest holds."""

    def __init__(self, bundle: Bundle) -> None:
        linear = bundle.manifest.linear
        assert linear is not None
        weights, self._mean = np.array(linear.weights), np.array(linear.mean)
        self._design = bundle.design
        self._base = float(linear.intercept + weights @ self._mean)
        self._weights = np.zeros((len(weights), len(bundle.contract.raw)))
        self._weights[np.arange(len(weights)), bundle.told_as] = weights

    def explain(self, columns: Matrix) -> Contributions:
        """Contributions for columns (n, k)."""
        return Contributions((self._design.run(columns)[0] - self._mean) @ self._weights, self._base, exact=True)
