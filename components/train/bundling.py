"""A fitted model written down as a bundle."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from churn.domain import bundle, encoding
from churn.domain.derivation import Derivation
from churn.domain.partition import unit_hash
from churn.domain.preparation import design_model
from components.train.fitting import Model
from components.train.selection import Judged

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

REFERENCE_ROWS = 10_000
EXAMPLE_ROWS = 5
LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx", "xgboost-cpu", "lightgbm", "spox")
_SALT = "churn/reference/1"


def write(
    folder: Path,
    model: Model,
    chosen: Judged,
    features: pa.Table,
    columns: Matrix,
    keys: pa.ChunkedArray,
    *,
    data: str,
    online: bundle.Online,
) -> str:
    """Writes the bundle of `model`; gives its digest.

    `features` (typed), `columns` (n, k) and `keys` are the development rows', in one order; `data` is the snapshot's
    digest."""
    contract = model.contract
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model.graph.SerializeToString())
    (folder / "derivation.onnx").write_bytes(Derivation(contract).model.SerializeToString())
    (folder / "design.onnx").write_bytes(design_model(contract, model.preparation).SerializeToString())
    (folder / "contract.yaml").write_text(contract.to_yaml(), encoding="utf-8")
    booster = _write_booster(folder, model)
    _write_reference(folder, features, keys, chosen.oof)
    _write_example(folder, model, columns[:EXAMPLE_ROWS])
    manifest = bundle.Manifest(
        model=contract.name,
        candidate=chosen.candidate.name,
        estimator=chosen.candidate.estimator or chosen.candidate.ensemble,
        contract=contract.digest,
        data=data,
        threshold=chosen.threshold,
        risk=contract.risk,
        metrics={name: spread.mean for name, spread in chosen.cv.items()},
        online=online,
        design=model.preparation.names,
        origins=model.preparation.origins,
        dropped=model.preparation.dropped,
        booster=booster,
        versions={name: metadata.version(name) for name in LIBRARIES},
        files={},
    )
    return bundle.write(folder, manifest)


def _write_booster(folder: Path, model: Model) -> str:
    """The native booster of a single XGBoost or LightGBM model; gives its file's name, or nothing for another model."""
    estimator = model.parts[0].pipeline["model"]
    package = type(estimator).__module__.partition(".")[0]
    if len(model.parts) > 1 or len(model.parts[0].pipeline.steps) > 1 or package not in {"xgboost", "lightgbm"}:
        return ""
    if package == "xgboost":
        estimator.get_booster().save_model(folder / "booster.ubj")
        return "booster.ubj"
    estimator.booster_.save_model(folder / "booster.txt")
    return "booster.txt"


def _write_reference(folder: Path, features: pa.Table, keys: pa.ChunkedArray, oof: Vector) -> None:
    """Features and out-of-fold predictions of a sample fixed by the keys' hashes, without the keys."""
    judged = np.nonzero(~np.isnan(oof))[0]
    place = unit_hash(keys, _SALT)[judged]
    rows = np.sort(judged[np.argsort(place, kind="stable")[:REFERENCE_ROWS]])
    table = features.take(rows).append_column("probability", pa.array(oof[rows]))
    pq.write_table(table, folder / "reference.parquet", compression="zstd")


def _write_example(folder: Path, model: Model, columns: Matrix) -> None:
    """A few rows and the estimators' own answers to them."""
    own = model.predict(Derivation(model.contract).run(columns))
    rows = [[None if np.isnan(value) else float(value) for value in row] for row in columns]
    example = bundle.Example(rows, [round(float(p), 9) for p in own])
    (folder / "example.json").write_bytes(msgspec.json.encode(example))


def typed_features(model: Model, table: pa.Table) -> pa.Table:
    """The contract's features of a training set, in its order."""
    return table.select(model.contract.features).cast(encoding.feature_schema(model.contract, model.contract.features))
