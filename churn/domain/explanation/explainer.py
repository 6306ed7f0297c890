"""The explainer of a bundle.

Contributions are Shapley values (Strumbelj & Kononenko 2014; Lundberg & Lee 2017): with the base value they add up to
the logit of the probability. What belongs to one contract column is told together: the parts of a category, and the
features that are derived from the column."""

from __future__ import annotations

from functools import cached_property
from threading import Lock
from typing import Literal

import numpy as np
import numpy.typing as npt

from churn.domain.bundle import Bundle
from churn.domain.explanation.contributions import Contributions, Method
from churn.domain.explanation.trees import FILE

Kind = Literal["linear", "trees", "sampled"]


class Explainer:
    """How a bundle's answers are explained. Threads may share one.

    Trees that add up (XGBoost, LightGBM, gradient boosting) and linear models are explained exactly, all else by
    sampling."""

    def __init__(self, bundle: Bundle, kind: Kind) -> None:
        self.bundle, self.kind = bundle, kind
        self._loading = Lock()

    @staticmethod
    def of(bundle: Bundle) -> Explainer:
        """The explainer that suits the bundle's model. Cheap: what it needs is loaded by `warm`, or at first use."""
        if bundle.manifest.linear is not None:
            return Explainer(bundle, "linear")
        return Explainer(bundle, "trees" if FILE in bundle.manifest.files else "sampled")

    @property
    def exact(self) -> bool:
        """Whether contributions are exact, not sampled."""
        return self.kind != "sampled"

    @property
    def ready(self) -> bool:
        """Whether the next explanation needs nothing loaded; cheap."""
        return "_loaded" in self.__dict__

    def explain(self, columns: npt.NDArray[np.float64]) -> Contributions:
        """Contributions for columns (n, k) of which the bundle can give a probability."""
        return self._method.explain(columns)

    def warm(self) -> None:
        """Loads what explaining needs."""
        _ = self._method

    @property
    def _method(self) -> Method:
        with self._loading:
            return self._loaded

    @cached_property
    def _loaded(self) -> Method:
        if self.kind == "linear":
            from churn.domain.explanation.linear import Weights

            return Weights(self.bundle)
        if self.kind == "trees":
            from churn.domain.explanation.additive import Additive

            return Additive(self.bundle)
        from churn.domain.explanation.sampled import Sampled

        return Sampled(self.bundle)
