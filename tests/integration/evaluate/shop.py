"""Real bundles, small: generated customers, estimators fitted on folds, one graph each, as train leaves them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import spox
import spox.opset.ai.onnx.v21 as op
from spox import Var

from churn.domain import bundle as bundles
from churn.domain import decision, encoding, partition
from churn.domain.contract import Candidate, Contract, Step, parse
from churn.domain.derivation import Derivation
from churn.domain.preparation import Preparation
from components.evaluate.inputs import Inputs, Training, Validation
from components.train import assembly, estimators
from components.train.estimators import Balance
from feature_repo import frozen

Vector = npt.NDArray[np.float64]

CONTRACT = """
name: shop
key: {column: customer, type: integer}
target: {column: gone, positive: 1}
columns:
  tenure: {type: integer, range: [0, 120]}
  charge: {type: number, nullable: true}
  calls: {type: integer, source: Calls made}
  plan: {type: category, categories: [basic, plus, pro]}
  region: {type: category, categories: [north, south]}
derived:
  tenure_log: {formula: log1p(tenure), told_as: tenure}
  is_new: {flag: tenure < 6, told_as: tenure}
  charge_band: {bin: charge, edges: [30, 60], labels: [low, middle, high], told_as: charge}
"""

AS_THEY_ARE = Balance()
HONEST = Candidate(
    name="logistic",
    estimator="sklearn.linear_model.LogisticRegression",
    steps=(Step(estimator="sklearn.preprocessing.StandardScaler"),),
    params={"max_iter": 500},
)
"""The customers are drawn from a logistic law, so nothing does better."""

WORSE = Candidate(
    name="stumps",
    estimator="xgboost.XGBClassifier",
    params={"n_estimators": 25, "max_depth": 1, "learning_rate": 0.4},
)
"""Learns too little: on these customers its AUC is .01 lower, and it is calibrated."""


def contract_with(**changes: Any) -> Contract:
    """The shop's contract with entries of some sections added or, where None, removed."""
    document = msgspec.yaml.decode(CONTRACT)
    for section, entries in changes.items():
        merged = {**document.get(section, {}), **entries}
        document[section] = {name: entry for name, entry in merged.items() if entry is not None}
    return parse(msgspec.yaml.encode(document).decode(), "shop.yaml")


def customers(count: int = 5000, seed: int = 11) -> pa.Table:
    """Typed rows as the contract names them; a fifth left, by a logistic law with an AUC of about .88."""
    generator = np.random.default_rng(seed)
    tenure = generator.integers(0, 73, count)
    charge = np.round(generator.uniform(15, 110, count), 2)
    calls = generator.poisson(2.0, count)
    plan, region = generator.integers(0, 3, count), generator.integers(0, 2, count)
    logit = 1.2 - 1.5 * np.log1p(tenure) + 0.03 * charge + 0.5 * calls - 1.1 * plan
    gone = (generator.uniform(size=count) < 1 / (1 + np.exp(-logit))).astype(np.int64)
    return pa.table(
        {
            "customer": pa.array(np.arange(count) + 1000),
            "event_timestamp": pa.array([datetime(2026, 10, 1, tzinfo=UTC)] * count, pa.timestamp("us", tz="UTC")),
            "gone": pa.array(gone),
            "tenure": pa.array(tenure),
            "charge": pa.array(charge, mask=generator.uniform(size=count) < 0.02),
            "calls": pa.array(calls),
            "plan": pa.array(np.array(["basic", "plus", "pro"])[plan]),
            "region": pa.array(np.array(["north", "south"])[region]),
        }
    )


@dataclass(frozen=True)
class Trained:
    """A bundle and what train leaves beside it."""

    contract: Contract
    bundle: Path
    scored: Path
    digest: str

    def inputs(self, **changes: Any) -> Inputs:
        """The step's inputs."""
        given = Inputs(
            contract=self.contract,
            bundle=self.bundle,
            scored=self.scored,
            training=Training(null_parity=0.0),
            validation=Validation(rows=5000, quarantined=0, duplicates=0),
        )
        return replace(given, **changes)


def train(
    folder: Path,
    contract: Contract,
    table: pa.Table,
    *,
    candidate: Candidate = HONEST,
    balance: Balance = AS_THEY_ARE,
    changed: Callable[[onnx.ModelProto], onnx.ModelProto] = lambda model: model,
) -> Trained:
    """Fits the candidate on folds and on all development rows; `changed` may tamper with the graph."""
    table, features = _with_features(contract, table)
    key = contract.key.column if contract.key else "entity_id"
    y = table[contract.target.column].to_numpy().astype(np.float64)
    holdout = partition.holdout(table[key], contract.training.holdout)
    dev = np.nonzero(~holdout)[0]
    oof, fold = np.full(len(y), np.nan), np.full(len(y), -1)
    times = table["event_timestamp"].to_numpy()[dev]
    for number, one in enumerate(partition.folds(table[key].take(dev), times, y[dev], 5, contract.target.horizon_days)):
        fitted = _fit(contract, candidate, balance, features[dev][one.train], y[dev][one.train])
        oof[dev[one.test]], fold[dev[one.test]] = _predict(fitted, features[dev][one.test]), number
    part = _fit(contract, candidate, balance, features[dev], y[dev])
    graph = changed(assembly.assemble(contract, [part]))
    threshold = decision.best_threshold(y[~np.isnan(oof)], oof[~np.isnan(oof)], contract.costs)
    digest = _write_bundle(folder / "bundle", contract, candidate, part, graph, threshold=threshold)
    scored = table.append_column("holdout", pa.array(holdout)).append_column("fold", pa.array(fold, mask=fold < 0))
    scored = scored.append_column("oof", pa.array(oof, mask=np.isnan(oof)))
    scored = scored.append_column("prediction", pa.array(_predict(part, features)))
    pq.write_table(scored, folder / "scored.parquet")
    return Trained(contract, folder / "bundle", folder / "scored.parquet", digest)


def _with_features(contract: Contract, table: pa.Table) -> tuple[pa.Table, npt.NDArray[np.float64]]:
    features = Derivation(contract).run(encoding.encode(contract, table))
    typed = encoding.decode(contract, features, contract.features)
    kept = table.select([name for name in table.column_names if name not in contract.features])
    for name in contract.features:
        kept = kept.append_column(name, typed[name])
    return kept, features


def _fit(
    contract: Contract, candidate: Candidate, balance: Balance, features: npt.NDArray[np.float64], y: Vector
) -> assembly.Part:
    preparation = Preparation(contract, features, impute=estimators.imputed(candidate, balance))
    pipeline = estimators.fit(candidate, preparation.transform(features), y, balance)
    return assembly.Part(candidate=candidate.name, preparation=preparation, pipeline=pipeline)


def _predict(part: assembly.Part, features: npt.NDArray[np.float64]) -> Vector:
    return estimators.predict(part.pipeline, part.preparation.transform(features))


def _write_bundle(
    folder: Path,
    contract: Contract,
    candidate: Candidate,
    part: assembly.Part,
    graph: onnx.ModelProto,
    *,
    threshold: float,
) -> str:
    folder.mkdir()
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    (folder / "contract.yaml").write_text(contract.to_yaml(), encoding="utf-8")
    manifest = bundles.Manifest(
        model=contract.name,
        candidate=candidate.name,
        estimator=candidate.estimator,
        contract=contract.digest,
        data="d" * 64,
        threshold=threshold,
        risk=(threshold, max(threshold, contract.high_risk)),
        metrics={},
        online=frozen.freeze(contract),
        design=part.preparation.names,
        origins=part.preparation.origins,
        spans=((-bundles.LARGEST, bundles.LARGEST),) * len(contract.raw),
        versions={"scikit-learn": "1.9"},
        files={},
    )
    return bundles.write(folder, manifest)


def wrapped(model: onnx.ModelProto, change: Callable[[Var, Var], Var]) -> onnx.ModelProto:
    """The graph with another probability: `change(probability, number of rows)`."""
    columns = spox.argument(spox.Tensor(np.float64, ("n", 5)))
    outputs = spox.inline(model)(columns=columns)
    rows = op.cast(op.shape(columns, end=1), to=np.float32)
    probability = change(outputs["probability"], rows)
    return spox.build(inputs={"columns": columns}, outputs={"probability": probability, "fault": outputs["fault"]})


def const(value: float) -> Var:
    """A number in the graph."""
    return op.const(np.array(value, np.float32))
