"""Probabilities as fast as they come: one row or few through the graph, many through the native booster."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from churn.domain.bundle import Bundle

MANY = 60
"""Rows from which on XGBoost's own prediction is faster than the graph's (tests/benchmarks/explanations.py)."""


class Scorer:
    """Scores with a bundle. Threads may share one."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._booster: Any = None

    @staticmethod
    def of(bundle: Bundle) -> Scorer:
        """A scorer that knows the graph; `warm` teaches it the booster."""
        return Scorer(bundle)

    def warm(self) -> None:
        """Loads the booster of an XGBoost model: about a second, most of it for the import."""
        if self._bundle.manifest.booster != "booster.ubj":
            return
        import xgboost

        booster = xgboost.Booster({"nthread": 1}, model_file=self._bundle.folder / self._bundle.manifest.booster)
        booster.inplace_predict(np.zeros((1, len(self._bundle.manifest.design)), np.float32), validate_features=False)
        self._booster = booster

    def probability(self, columns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Churn probability (n,) of columns (n, k), within 1e-5 of the graph's.

        Raises UserError that names feature and row when a derived value is not finite."""
        if self._booster is None or len(columns) < MANY:
            return self._bundle.predict(columns)
        design, fault = self._bundle.design.run(columns)
        if fault.any():
            self._bundle.derivation.run(columns)
        return np.asarray(self._booster.inplace_predict(design, validate_features=False), np.float64)
