"""The chosen candidate fitted on all development rows, and the graph that says the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import onnx

from churn.domain.contract import Candidate, Contract
from churn.domain.derivation import Derivation
from churn.domain.graph import Graph
from churn.domain.preparation import Preparation
from components.train import ensembles, estimators, selection
from components.train.assembly import Part, assemble
from components.train.estimators import Balance
from components.train.selection import Judged, Rows

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

_PARITY_ROWS = 10_000


@dataclass(frozen=True)
class Model:
    """The `chosen` candidate as fitted estimators (one, or an ensemble's members and their blend)."""

    contract: Contract
    chosen: Judged
    parts: tuple[Part, ...]
    blend: ensembles.Blend | None = None

    def predict(self, features: Matrix) -> Vector:
        """The estimators' own probabilities (n,) for features (n, f): what the graph is held to."""
        members = [estimators.predict(part.pipeline, part.preparation.transform(features)) for part in self.parts]
        return self.blend.apply(np.column_stack(members)) if self.blend else members[0]

    @cached_property
    def graph(self) -> onnx.ModelProto:
        """Columns to probability, as one graph."""
        return assemble(self.contract, self.parts, self.blend)

    @property
    def preparation(self) -> Preparation:
        """The preparation of the estimator, or of an ensemble's first member."""
        return self.parts[0].preparation

    def null_parity(self, columns: Matrix) -> float:
        """The largest difference between graph and estimators over columns (n, k) with each column null in turn.

        Of many rows, some ten thousand that lie evenly."""
        columns = columns[:: -(-len(columns) // _PARITY_ROWS)]
        graph, derivation = Graph(self.graph.SerializeToString()), Derivation(self.contract)
        worst = 0.0
        for position in range(columns.shape[1]):
            blanked = columns.copy()
            blanked[:, position] = np.nan
            own = self.predict(derivation.run(blanked))
            worst = max(worst, float(np.abs(graph.run(blanked)[0] - own).max()))
        return worst


def fit(contract: Contract, rows: Rows, chosen: Judged, judged: Sequence[Judged], balance: Balance) -> Model:
    """The chosen candidate, or all members of a chosen ensemble, fitted on every development row."""
    if not chosen.candidate.ensemble:
        return Model(contract, chosen, (_part(contract, rows, chosen.candidate, balance),))
    members = selection.members_of(chosen.candidate, judged)
    oof = np.column_stack([one.oof for one in members])
    seen = rows.fold >= 0
    blend = ensembles.blend(chosen.candidate, rows.y[seen], oof[seen])
    return Model(contract, chosen, tuple(_part(contract, rows, one.candidate, balance) for one in members), blend)


def _part(contract: Contract, rows: Rows, candidate: Candidate, balance: Balance) -> Part:
    preparation = Preparation(contract, rows.features, impute=estimators.imputed(candidate, balance))
    design = preparation.transform(rows.features)
    return Part(candidate.name, preparation, estimators.fit(candidate, design, rows.y, balance))
