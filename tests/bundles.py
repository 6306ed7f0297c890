"""Small real models for tests: a contract of a shop's customers, bundles trained on it, and what promotion leaves."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import spox
import spox.opset.ai.onnx.v21 as op
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from churn.domain import bundle, contract, decision, derivation, encoding
from churn.domain.contract import Contract
from churn.domain.derivation import Derivation
from churn.domain.preparation import Preparation, design_model
from churn.stores import objects
from churn.stores.settings import Settings
from churn.stores.traffic import Variant, promoted
from churn.stores.traffic_store import open_traffic
from components.train import trees
from components.train.assembly import Part, assemble
from feature_repo import frozen, names

SHOP = """
name: shop
key: {column: customer_id, source: Kunde}
target: {column: gone, positive: "yes", negative: "no"}
columns:
  plan: {type: category, source: Plan, categories: [basic, plus], cleaning: {spelling: {"0": basic, "1": plus}}}
  region: {type: category, categories: [north, south], nullable: true}
  visits: {type: integer, range: [0, 500]}
  spend: {type: number, source: Spend in EUR, range: [0, 10000]}
  discount: {type: number, cleaning: {constant: 0}}
  rating: {type: number, range: [0, 5], nullable: true}
derived:
  spend_per_visit: {formula: spend / visits, told_as: spend}
  is_frequent: {flag: visits >= 20, told_as: visits}
"""
"""A customer without visits has no finite `spend_per_visit`: what a formula without a guard does to a request."""

THRESHOLD = 0.4
"""From which probability on the shop's bundles say that a customer is to be contacted."""

CUSTOMER: dict[str, Any] = {
    "plan": "basic",
    "region": "north",
    "visits": 12,
    "spend": 340.5,
    "discount": 5.0,
    "rating": 4.0,
}
"""A request with every column."""

CUSTOMERS: dict[str | int, Mapping[str, Any]] = {
    "ann": CUSTOMER,
    "bob": {**CUSTOMER, "plan": "plus", "visits": 30, "region": None, "rating": None},
    "cat": {**CUSTOMER, "spend": 20.25, "discount": None},
}
"""Customers by id, as the online store may know them."""


def shop(**changes: Any) -> Contract:
    """The shop's contract, with other parts where they are named."""
    return msgspec.structs.replace(contract.parse(SHOP, "shop.yaml"), **changes)


def settings_of(home: Path) -> Settings:
    """The settings of a home, and of nothing else in the environment."""
    return Settings.load({"CHURN_HOME": str(home)}).prepare()


Estimator = Literal["logistic", "xgboost", "forest"]
"""Explained exactly by weights, exactly by the native booster, by sampling."""


def write_bundle(
    folder: Path, of: Contract, seed: int = 0, wrong_by: float = 0.0, estimator: Estimator = "logistic"
) -> str:
    """Trains a model on made-up rows and writes its bundle with all that explains it; gives the digest.

    Its example's answers are `wrong_by` so much."""
    columns, gone = training_rows(of, seed)
    features = Derivation(of).run(columns)
    preparation = Preparation(of, features, impute=estimator != "xgboost")
    design = preparation.transform(features)
    fitted = _estimator(estimator).fit(design, gone)
    folder.mkdir(parents=True)
    for name, graph in (("model", _graph(of, preparation, fitted)), ("design", design_model(of, preparation))):
        (folder / f"{name}.onnx").write_bytes(graph.SerializeToString())
    (folder / "contract.yaml").write_text(of.to_yaml(), encoding="utf-8")
    p = fitted.predict_proba(design)[:, 1].astype(np.float64)
    reference = encoding.decode(of, features, of.features).append_column("probability", pa.array(p))
    pq.write_table(reference, folder / "reference.parquet")
    example = bundle.Example(
        [[None if np.isnan(value) else value for value in row] for row in columns[:3].tolist()],
        (p[:3] + wrong_by).tolist(),
    )
    (folder / "example.json").write_bytes(msgspec.json.encode(example))
    if estimator == "xgboost":
        fitted.get_booster().save_model(folder / "booster.ubj")
        trees.of(fitted, design).write(folder / "trees.npy")
    manifest = bundle.Manifest(
        model=of.name,
        candidate=estimator,
        estimator=f"{type(fitted).__module__.partition('.')[0]}.{type(fitted).__name__}",
        contract=of.digest,
        data="0" * 64,
        threshold=THRESHOLD,
        risk=decision.risk_bounds(THRESHOLD, of.high_risk),
        metrics={},
        online=frozen.freeze(of),
        design=preparation.names,
        origins=preparation.origins,
        spans=bundle.spans(of, columns),
        booster="booster.ubj" if estimator == "xgboost" else "",
        linear=_weights(fitted, design) if estimator == "logistic" else None,
        versions={},
        files={},
    )
    return bundle.write(folder, manifest)


def publish(
    settings: Settings,
    of: Contract,
    version: int = 1,
    seed: int = 0,
    wrong_by: float = 0.0,
    estimator: Estimator = "logistic",
) -> Variant:
    """Trains a version, stores its bundle and makes it the champion: what promotion does."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "bundle")
        digest = write_bundle(folder, of, seed, wrong_by, estimator)
        variant = Variant(version, digest, objects.open_store(settings).put_folder(folder, f"bundles/{digest}"))
    put_in_charge(settings, of.name, variant)
    return variant


def put_in_charge(settings: Settings, model: str, variant: Variant) -> None:
    """Writes the traffic document with a new champion."""
    store = open_traffic(settings)
    current = store.read(model)
    store.write(promoted(current, model, variant), current.revision if current else 0)


def remember(
    settings: Settings, of: Contract, customers: Mapping[str | int, Mapping[str, Any]], seen: datetime | None = None
) -> None:
    """Registers the contract's views and writes customers (columns by id, `seen` at a time) to the online store."""
    from feature_repo.materialisation import materialise
    from feature_repo.registration import apply

    seen = seen or datetime.now(UTC).replace(microsecond=0)
    source = Path(tempfile.mkdtemp(dir=settings.home))
    raw = pa.table(
        {name: [row.get(name) for row in customers.values()] for name in of.raw},
        schema=encoding.feature_schema(of, of.raw),
    )
    derived = Derivation(of).run(encoding.encode(of, raw))[:, len(of.raw) :]
    for name, table in (("raw", raw), ("derived", encoding.decode(of, derived, tuple(of.derived)))):
        pq.write_table(_dated(of, list(customers), seen, table), source / f"{name}.parquet")
    apply(settings, of, str(source))
    materialise(settings, of, seen)


def _estimator(name: Estimator) -> Any:
    match name:
        case "xgboost":
            from xgboost import XGBClassifier

            return XGBClassifier(n_estimators=30, max_depth=3, n_jobs=1, random_state=0)
        case "forest":
            return RandomForestClassifier(20, max_depth=4, min_samples_leaf=5, random_state=0)
        case "logistic":
            return LogisticRegression(C=0.01, max_iter=500)


def _weights(estimator: LogisticRegression, design: np.ndarray) -> bundle.Linear:
    mean = design.astype(np.float64).mean(axis=0)
    return bundle.Linear(float(estimator.intercept_[0]), tuple(estimator.coef_[0].tolist()), tuple(mean.tolist()))


def _graph(of: Contract, preparation: Preparation, estimator: Any) -> onnx.ModelProto:
    """Columns to probability: of a logistic regression as plain nodes, of others as training assembles them."""
    if not isinstance(estimator, LogisticRegression):
        return assemble(of, (Part("shop", preparation, Pipeline([("model", estimator)])),))
    columns = derivation.input_columns(of)
    features, faults = derivation.build(of, columns)
    weights, bias = (op.const(part.astype(np.float32)) for part in (estimator.coef_.T, estimator.intercept_))
    probability = op.sigmoid(op.add(op.matmul(preparation.build(features), weights), bias))
    fault = op.reduce_max(op.cast(faults, to=np.int64), op.const(np.array([1])), keepdims=0)
    return spox.build(
        inputs={"columns": columns},
        outputs={
            "probability": op.squeeze(probability, op.const(np.array([1]))),
            "fault": op.cast(fault, to=np.bool_),
        },
    )


def _dated(of: Contract, ids: Sequence[str | int], seen: datetime, table: pa.Table) -> pa.Table:
    keyed = pa.table({names.key(of): pa.array(ids, names.key_type(of))})
    stamps = pa.array([seen] * len(ids), pa.timestamp("us", tz="UTC"))
    for name, column in [(names.EVENT_TIMESTAMP, stamps), *zip(table.column_names, table.columns, strict=True)]:
        keyed = keyed.append_column(name, column)
    return keyed


def training_rows(of: Contract, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns (400, k) with nulls where the contract allows them, and who is gone (400,)."""
    random = np.random.default_rng(seed)
    size = 400
    columns = np.column_stack(
        [
            random.integers(0, len(column.categories), size)
            if column.categories
            else random.integers(1, 40, size)
            if column.type == "integer"
            else random.uniform(0, 5, size) * (100 if name == "spend" else 1)
            for name, column in of.columns.items()
        ]
    ).astype(np.float64)
    strength = (columns - columns.mean(axis=0)) / (columns.std(axis=0) + 1e-9)
    gone = (strength[:, :4].sum(axis=1) + random.normal(0, 1, size) > 0).astype(np.int64)
    nullable = [position for position, column in enumerate(of.columns.values()) if column.nullable]
    columns[np.ix_(random.random(size) < 0.1, nullable)] = np.nan
    return columns, gone
