"""The case before the gate: a bundle, and every row of its training set with outcome and predictions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from churn.domain import encoding
from churn.domain.bundle import Bundle
from churn.domain.contract import Contract
from churn.domain.errors import UserError
from feature_repo import names

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Case:
    """n rows in one order: `table` as train scored it, its `columns` (n, k), outcomes `y` (n,), the `holdout`.

    Probabilities (n,): `p` by the bundle's graph, `estimator` by the estimator it was made from, `oof` out of fold
    (NaN where no fold judged a row)."""

    contract: Contract
    bundle: Bundle
    table: pa.Table
    columns: Matrix
    y: Vector
    holdout: Mask
    p: Vector
    estimator: Vector
    oof: Vector

    @cached_property
    def features(self) -> Matrix:
        """All features (n, f), raw then derived, as the estimator was given them."""
        return encoding.encode(self.contract, self.table, self.contract.features)

    @cached_property
    def held(self) -> tuple[Vector, Vector]:
        """Outcomes and the graph's probabilities on the hold-out."""
        return self.y[self.holdout], self.p[self.holdout]

    @cached_property
    def folds(self) -> tuple[Vector, Vector]:
        """Outcomes and out-of-fold probabilities of the rows that a fold judged."""
        judged = ~self.holdout & ~np.isnan(self.oof)
        return self.y[judged], self.oof[judged]

    @property
    def keys(self) -> pa.ChunkedArray:
        """The entity of each row."""
        return self.table[names.key(self.contract)]


def read(contract: Contract, bundle: Bundle, scored: Path) -> Case:
    """The case of a bundle and the Parquet file of rows that train scored.

    Raises UserError when the bundle was trained under another contract, or the hold-out holds one outcome only;
    RuntimeError when the graph gives no number for a row, which nothing in a table can bring about."""
    if bundle.manifest.contract != contract.digest:
        where = f"bundle {bundle.digest[:12]}"
        raise UserError("was trained under another contract", where=where, remedy="train again")
    table = pq.read_table(scored)
    y, holdout = _vector(table, contract.target.column), table["holdout"].to_numpy()
    _require_both_outcomes(y[holdout])
    columns = encoding.encode(contract, table)
    p = bundle.predict(columns)
    if not np.isfinite(p).all():
        raise RuntimeError(
            f"the graph of bundle {bundle.digest[:12]} gives no number for {np.sum(~np.isfinite(p))} rows"
        )
    return Case(
        contract=contract,
        bundle=bundle,
        table=table,
        columns=columns,
        y=y,
        holdout=holdout,
        p=p,
        estimator=_vector(table, "prediction"),
        oof=_vector(table, "oof"),
    )


def _vector(table: pa.Table, name: str) -> Vector:
    return np.asarray(table[name].cast(pa.float64()).to_numpy(), np.float64)


def _require_both_outcomes(y: Vector) -> None:
    """Without both there is nothing to judge, and no other model trained on the same rows could pass."""
    if not 0 < y.sum() < len(y):
        kind = "stayed" if len(y) and not y.any() else "left"
        found = f"all {len(y)} customers in the hold-out {kind}" if len(y) else "the hold-out is empty"
        raise UserError(found, where="training.holdout", remedy="more rows, or a larger share in the contract")
