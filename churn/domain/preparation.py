"""Learned cleaning and encoding: from features to the design matrix an estimator sees, as nodes of the same graph.

What it learns (medians, modes, caps, which features are mostly missing) comes from the rows it is fitted on, so it is
fitted anew inside every fold. Training runs the very graph that the bundle will carry."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
import onnx
import spox
import spox.opset.ai.onnx.v21 as op
from spox import Var

from churn.domain.contract import Cleaning, Contract
from churn.domain.errors import UserError
from churn.domain.graph import Graph

Matrix = npt.NDArray[np.float64]
Design = npt.NDArray[np.float32]

MOSTLY_MISSING = 0.5


class Preparation:
    """Fitted on features (n, f); gives the design matrix float32 (n, m).

    `names` and `origins` say for each design column what it is called and which feature it comes from; `dropped` are
    the features left out because more than half of their rows were null.
    With `impute`, no null is left in the design matrix: medians fill what the contract does not."""

    def __init__(self, contract: Contract, features: Matrix, *, impute: bool) -> None:
        self.contract = contract
        missing = np.isnan(features).mean(axis=0)
        self.dropped = tuple(
            name for name, share in zip(contract.features, missing, strict=True) if share > MOSTLY_MISSING
        )
        self._kept = [i for i, name in enumerate(contract.features) if name not in self.dropped]
        if not self._kept:
            raise UserError(
                "no feature has a value in half of the rows", remedy="look at the table, or at the contract's columns"
            )
        self._numbers = [i for i in self._kept if contract.labels(contract.features[i]) is None]
        self._fills = np.array([self._fill(features[:, i], i, impute=impute) for i in range(features.shape[1])])
        self._caps = self._learn_caps(features)
        self._indicated = [i for i in self._kept if self._cleaning(i).indicator]
        self._codes = [
            (i, code) for i in self._kept for code in range(len(contract.labels(contract.features[i]) or ()))
        ]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the design columns: features, then `feature=category`, then `feature is missing`."""
        features = self.contract.features
        coded = [f"{features[i]}={(self.contract.labels(features[i]) or ())[code]}" for i, code in self._codes]
        return (*(features[i] for i in self._numbers), *coded, *(f"{features[i]} is missing" for i in self._indicated))

    @property
    def origins(self) -> tuple[str, ...]:
        """The feature behind each design column."""
        return tuple(
            self.contract.features[i] for i in (*self._numbers, *(i for i, _ in self._codes), *self._indicated)
        )

    @cached_property
    def _graph(self) -> Graph:
        features = spox.argument(spox.Tensor(np.float64, ("n", len(self.contract.features))))
        model = spox.build(inputs={"features": features}, outputs={"design": self.build(features)})
        return Graph(model.SerializeToString())

    def transform(self, features: Matrix) -> Design:
        """The design matrix (n, m) of features (n, f)."""
        design: Design = self._graph.run(features)[0]
        return design

    def build(self, features: Var) -> Var:
        """Nodes for the design matrix over `features`."""
        parts = []
        if self._numbers:
            parts.append(op.cast(self._build_numbers(features), to=np.float32))
        if self._codes:
            parts.append(op.cast(self._build_codes(features), to=np.float32))
        if self._indicated:
            parts.append(op.cast(op.isnan(self._pick(features, self._indicated)), to=np.float32))
        return _joined(parts)

    def _build_codes(self, features: Var) -> Var:
        """Whether a row has a category, for each of all. A product with ones and zeros repeats each feature's code as
        often as it has categories: exact for whole numbers, and several times as fast as gathering them one by one."""
        positions = sorted({i for i, _ in self._codes})
        codes = _filled(self._pick(features, positions), self._fills[positions])
        known = op.cast(op.where(op.isnan(codes), op.const(np.array(-1.0)), codes), to=np.float32)
        repeated = np.array([[i == j for j, _ in self._codes] for i in positions], np.float32)
        wanted = np.array([[code for _, code in self._codes]], np.float32)
        return op.equal(op.matmul(known, op.const(repeated)), op.const(wanted))

    def _build_numbers(self, features: Var) -> Var:
        numbers = _filled(self._pick(features, self._numbers), self._fills[self._numbers])
        low, high = self._caps
        if not np.isfinite([*low, *high]).any():
            return numbers
        null = op.isnan(numbers)
        capped = op.min([op.max([numbers, op.const(low[None, :])]), op.const(high[None, :])])
        return op.where(null, op.const(np.array(np.nan)), capped)

    def _pick(self, features: Var, positions: list[int]) -> Var:
        """Columns of `features` by ascending position. Neighbours are copied together, as Gather does not."""
        starts = [i for i in range(len(self.contract.features)) if not i or (i in positions) != (i - 1 in positions)]
        if len(starts) == 1:
            return features
        sizes = np.diff([*starts, len(self.contract.features)])
        pieces = op.split(features, op.const(sizes), axis=1)
        return _joined([piece for start, piece in zip(starts, pieces, strict=True) if start in positions])

    def _cleaning(self, position: int) -> Cleaning:
        column = self.contract.columns.get(self.contract.features[position])
        return column.cleaning if column else Cleaning()

    def _fill(self, values: npt.NDArray[np.float64], position: int, *, impute: bool) -> float:
        present = values[~np.isnan(values)]
        how = self._cleaning(position).fill
        categorical = self.contract.labels(self.contract.features[position]) is not None
        if not len(present) or (how is None and (categorical or not impute)):
            return float("nan")
        if how == "mode":
            found, counts = np.unique(present, return_counts=True)
            return float(found[np.argmax(counts)])
        return float(np.median(present))

    def _learn_caps(self, features: Matrix) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        low, high = np.full(len(self._numbers), -np.inf), np.full(len(self._numbers), np.inf)
        for place, position in enumerate(self._numbers):
            cap = self._cleaning(position).cap
            if cap:
                low[place], high[place] = np.nanquantile(features[:, position], cap)
        return low, high


def _joined(parts: list[Var]) -> Var:
    return op.concat(parts, axis=1) if len(parts) > 1 else parts[0]


def _filled(values: Var, fills: npt.NDArray[np.float64]) -> Var:
    if np.isnan(fills).all():
        return values
    return op.where(op.isnan(values), op.const(fills[None, :]), values)


def design_model(contract: Contract, preparation: Preparation) -> onnx.ModelProto:
    """The graph from columns (n, k) to the design matrix (n, m) and the derivation's `fault` (n, d), for what works on
    the design matrix itself."""
    from churn.domain import derivation

    columns = derivation.input_columns(contract)
    features, fault = derivation.build(contract, columns)
    return spox.build(inputs={"columns": columns}, outputs={"design": preparation.build(features), "fault": fault})
