"""The other two systems on the same data: a model that stays as it is, and one that is trained anew each month."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from churn.domain import bundle as bundles
from churn.domain import encoding, parsing
from churn.domain.bundle import Bundle
from churn.domain.contract import Contract
from churn.domain.errors import UserError
from churn.stores import objects
from churn.stores.settings import Settings
from churn.stores.traffic_store import open_traffic
from local.simulation.shop import Answered


def champion(settings: Settings, model: str) -> tuple[Bundle, int]:
    """The bundle that serves now, and its version. Raises UserError when there is none."""
    traffic = open_traffic(settings).read(model)
    if traffic is None:
        raise UserError(f"no version of '{model}' has been promoted", where=settings.traffic)
    folder = objects.open_store(settings).fetch_folder(traffic.champion.bundle)
    return bundles.load(folder, traffic.champion.digest), traffic.champion.version


def answer(bundle: Bundle, customers: pa.Table) -> Answered:
    """What a bundle says of everyone whose values its contract allows."""
    contract, n = bundle.contract, customers.num_rows
    parsed = parsing.parse(contract, customers)
    bad = np.zeros(n, np.bool_)
    bad[[fault["row"] for fault in parsing.check(contract, parsed).to_pylist()]] = True
    good = np.flatnonzero(~bad)
    probability = np.full(n, np.nan)
    if len(good):
        columns = encoding.encode(contract, parsed.table.take(pa.array(good)), contract.raw)
        probability[good] = bundle.predict(columns)
    contacted = np.nan_to_num(probability, nan=-1.0) >= bundle.manifest.threshold
    return Answered(probability, contacted, 0)


@dataclass
class Blind:
    """Trained each month on the newest months whose outcomes are known, and always put in charge.

    It takes the steps of the training pipeline in this process, all up to the bundle: ingest, validate, transform,
    train. `trained` counts; a table that validation refuses leaves the model as it is."""

    settings: Settings
    contract: Contract
    bundle: Bundle
    folder: Path
    candidates: str
    trained: int = 0

    def retrain(self, labelled: pa.Table, as_of: dt.date) -> None:
        """A new model of these rows."""
        place = self.folder / as_of.isoformat()
        place.mkdir(parents=True)
        pq.write_table(labelled, place / "labelled.parquet")
        try:
            self.bundle = self._bundle(place, as_of.isoformat())
        except UserError as error:
            (place / "refused.txt").write_text(str(error), encoding="utf-8")
            return
        self.trained += 1

    def _bundle(self, place: Path, as_of: str) -> Bundle:
        from components.ingest.step import ingest
        from components.train.options import options
        from components.train.step import Artifacts, train
        from components.transform.step import transform
        from components.validate import verdict
        from components.validate.step import Table, examine

        contract = place / "contract.yaml"
        contract.write_text(self.contract.to_yaml(), encoding="utf-8")
        taken = ingest(self.settings, str(place / "labelled.parquet"), str(contract), as_of=as_of)
        table = Table(objects.fetch(self.settings, taken.address), taken.source, taken.as_of)
        valid = place / "valid.parquet"
        verdict.refuse(taken.contract, examine(taken.contract, table, valid, place / "quarantine.parquet"))
        entities = place / "entities.parquet"
        features = transform(self.settings, taken.contract, valid, entities, taken.as_of).features
        artifacts = Artifacts(entities, features, taken.digest, place / "bundle", place / "scored.parquet")
        train(self.settings, taken.contract, artifacts, options(candidates=self.candidates), say=lambda _: None)
        return bundles.load(place / "bundle")
