"""The training set: labels joined with what was known of each customer at the time, and split."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from churn.domain import encoding, partition
from churn.domain.contract import Contract
from churn.domain.errors import UserError
from churn.stores.settings import Settings
from components.train.selection import Rows
from feature_repo import names, training

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrainingSet:
    """n labelled rows in one order: the typed `table`, its `columns` (n, k), `features` (n, f) and outcomes `y` (n,).

    `holdout` (n,) marks rows that nothing is learned from; `digest` is the snapshot's, `source` the features' address.
    """

    contract: Contract
    digest: str
    source: str
    table: pa.Table
    columns: Matrix
    features: Matrix
    y: Vector
    holdout: npt.NDArray[np.bool_]

    @cached_property
    def development(self) -> npt.NDArray[np.int64]:
        """Numbers of the rows that may be learned from."""
        return np.nonzero(~self.holdout)[0]

    @property
    def keys(self) -> pa.ChunkedArray:
        """The entity of each row."""
        return self.table[names.key(self.contract)]

    @cached_property
    def rows(self) -> Rows:
        """The development rows and the folds over them. Raises UserError when there are too few for folds."""
        chosen, contract = self.development, self.contract
        times = self.table[names.EVENT_TIMESTAMP].to_numpy()[chosen]
        count, horizon = contract.training.folds, contract.target.horizon_days
        folds = partition.folds(self.keys.take(chosen), times, self.y[chosen], count, horizon)
        return Rows(self.features[chosen], self.y[chosen], folds)


@dataclass(frozen=True)
class Source:
    """Where features lie, and the digest of the snapshot they come from; `logged` rows are the prediction log's."""

    features: str
    digest: str
    logged: bool = False


def join(settings: Settings, contract: Contract, entities: Path, source: Source) -> TrainingSet:
    """Labelled `entities` with their features from Feast's point-in-time join over the files of `source`.

    Raises UserError for rows that nothing can be learned from."""
    labelled = pq.read_table(entities)
    _refuse_one_outcome(contract, labelled[contract.target.column].cast(pa.float64()).to_numpy())
    table = training.training_set(settings, contract, labelled, source.features, logged=source.logged)
    return TrainingSet(
        contract=contract,
        digest=source.digest,
        source=source.features,
        table=table,
        columns=encoding.encode(contract, table),
        features=encoding.encode(contract, table, contract.features),
        y=table[contract.target.column].cast(pa.float64()).to_numpy(),
        holdout=partition.holdout(table[names.key(contract)], contract.training.holdout),
    )


def _refuse_one_outcome(contract: Contract, y: Vector) -> None:
    """Of very few rows it does not tell much that they have one outcome: the folds will say that they are too few."""
    if not len(y) or (len(y) >= 2 * contract.training.folds and not 0 < y.sum() < len(y)):
        problem = "all rows have the same outcome" if len(y) else "no row has an outcome"
        where = f"column {contract.source_of(contract.target.column)}"
        raise UserError(problem, where=where, remedy=f"both are needed; '{contract.target.positive}' means positive")
