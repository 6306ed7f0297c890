from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from churn.domain.contract import Contract
from churn.stores.settings import Settings
from components.train.options import Options
from components.train.record import Trained
from components.train.step import Artifacts, train
from components.transform.step import transform

AS_OF = "2026-06-01T00:00:00+00:00"


@dataclass
class Case:
    """A training on valid rows through a real Feast registry, object store and MLflow below one folder."""

    contract: Contract
    settings: Settings
    artifacts: Artifacts
    said: list[str]

    @classmethod
    def of(cls, contract: Contract, valid: pa.Table, home: Path, snapshot: str = "5" * 64) -> Case:
        settings = Settings.load({"CHURN_HOME": str(home)}).prepare()
        pq.write_table(valid, home / "valid.parquet")
        transformed = transform(settings, contract, home / "valid.parquet", home / "entities.parquet", AS_OF)
        artifacts = Artifacts(
            entities=home / "entities.parquet",
            features=transformed.features,
            snapshot=snapshot,
            bundle=home / "out/bundle",
            scored=home / "out/scored.parquet",
        )
        return cls(contract, settings, artifacts, [])

    def train(self, options: Options = Options()) -> Trained:  # noqa: B008 - frozen
        return train(self.settings, self.contract, self.artifacts, options, self.said.append)

    @property
    def scored(self) -> pa.Table:
        return pq.read_table(self.artifacts.scored)
