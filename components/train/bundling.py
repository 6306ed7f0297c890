"""A fitted model written down as a bundle, and what it says of every row of its training set."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from churn.domain import bundle, decision
from churn.domain.derivation import Derivation
from churn.domain.explanation.trees import FILE
from churn.domain.partition import unit_hash
from churn.domain.preparation import design_model
from churn.stores import files
from components.train import trees
from components.train.data import TrainingSet
from components.train.fitting import Model
from components.train.linear import linear
from feature_repo import frozen, names

REFERENCE_ROWS = 10_000
EXAMPLE_ROWS = 5
LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx", "xgboost-cpu", "lightgbm", "spox")
_TREES_HELD_TO = 200
_SALT = "churn/reference/1"


def write(folder: Path, model: Model, data: TrainingSet) -> str:
    """Writes the bundle of `model`, in the place of whatever an earlier attempt has left there; gives its digest."""
    contract = model.contract
    files.remove(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model.graph.SerializeToString())
    (folder / "derivation.onnx").write_bytes(Derivation(contract).model.SerializeToString())
    (folder / "design.onnx").write_bytes(design_model(contract, model.preparation).SerializeToString())
    (folder / "contract.yaml").write_text(contract.to_yaml(), encoding="utf-8")
    _write_reference(folder, model, data)
    _write_example(folder, model, data)
    _write_trees(folder, model, data)
    return bundle.write(folder, _manifest(model, data, booster=_write_booster(folder, model)))


def example_columns(data: TrainingSet) -> npt.NDArray[np.float64]:
    """A few development rows (5, k): the bundle's example, and MLflow's."""
    return data.columns[data.development[:EXAMPLE_ROWS]]


def write_scored(path: Path, model: Model, data: TrainingSet) -> None:
    """Every row with its fold, its out-of-fold probability, and what the fitted estimators say of it (`prediction`)."""
    fold, oof = np.full(len(data.y), -1), np.full(len(data.y), np.nan)
    fold[data.development], oof[data.development] = data.rows.fold, model.chosen.oof
    added = {
        "holdout": pa.array(data.holdout),
        "fold": pa.array(fold, mask=fold < 0),
        "oof": pa.array(oof, mask=np.isnan(oof)),
        "prediction": pa.array(model.predict(data.features)),
    }
    table = data.table
    for name, values in added.items():
        table = table.append_column(name, values)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd")


def _manifest(model: Model, data: TrainingSet, booster: str) -> bundle.Manifest:
    contract, candidate = model.contract, model.chosen.candidate
    return bundle.Manifest(
        model=contract.name,
        candidate=candidate.name,
        estimator=candidate.estimator or candidate.ensemble,
        contract=contract.digest,
        data=data.digest,
        threshold=model.chosen.threshold,
        risk=decision.risk_bounds(model.chosen.threshold, contract.high_risk),
        metrics={name: spread.mean for name, spread in model.chosen.cv.items()},
        online=frozen.freeze(contract),
        design=model.preparation.names,
        origins=model.preparation.origins,
        dropped=model.preparation.dropped,
        spans=bundle.spans(contract, data.columns[data.development]),
        booster=booster,
        linear=linear(model, data.features[data.development]),
        versions={name: metadata.version(name) for name in LIBRARIES},
        files={},
    )


def _write_booster(folder: Path, model: Model) -> str:
    """The native booster of a single XGBoost or LightGBM model; gives its file's name, or nothing for another model."""
    pipeline = model.parts[0].pipeline
    estimator = pipeline["model"]
    if len(model.parts) > 1 or len(pipeline.steps) > 1:
        return ""
    match type(estimator).__module__.partition(".")[0]:
        case "xgboost":
            trees.trimmed(estimator.get_booster()).save_model(folder / "booster.ubj")
            return "booster.ubj"
        case "lightgbm":
            estimator.booster_.save_model(folder / "booster.txt")
            return "booster.txt"
    return ""


def _write_trees(folder: Path, model: Model, data: TrainingSet) -> None:
    """The trees of a single model that is a sum of such; a booster of any other kind is explained by sampling."""
    pipeline = model.parts[0].pipeline
    if len(model.parts) == 1 and len(pipeline.steps) == 1:
        rows = data.development[:_TREES_HELD_TO]
        found = trees.of(pipeline["model"], model.preparation.transform(data.features[rows]))
        if found is not None:
            found.write(folder / FILE)


def _write_reference(folder: Path, model: Model, data: TrainingSet) -> None:
    """Features of a sample fixed by the keys' hashes, without the keys; held-out rows first, with the model's answers.

    Of rows it has learned from these are null, and no out-of-fold ones either: other models gave those, and the
    difference between them and this one would look like drift."""
    judged = data.development[~np.isnan(model.chosen.oof)]
    times = data.table[names.EVENT_TIMESTAMP].to_numpy()
    held = np.nonzero(data.holdout & (times >= times[judged].min()))[0]
    rows = np.concatenate([_by_hash(held, data), _by_hash(judged, data)])[:REFERENCE_ROWS]
    answer = np.where(data.holdout[rows], model.predict(data.features[rows]), np.nan)
    order = np.argsort(rows)
    table = data.table.select(data.contract.features).take(rows[order])
    answers = pa.array(answer[order], mask=np.isnan(answer[order]))
    pq.write_table(table.append_column("probability", answers), folder / "reference.parquet", compression="zstd")


def _by_hash(rows: npt.NDArray[np.int64], data: TrainingSet) -> npt.NDArray[np.int64]:
    return rows[np.argsort(unit_hash(data.keys.take(rows), _SALT), kind="stable")]


def _write_example(folder: Path, model: Model, data: TrainingSet) -> None:
    """A few rows and the estimators' own answers to them."""
    columns = example_columns(data)
    own = model.predict(data.features[data.development[: len(columns)]])
    rows = [[None if np.isnan(value) else float(value) for value in row] for row in columns]
    example = bundle.Example(rows, [round(float(p), 9) for p in own])
    (folder / "example.json").write_bytes(msgspec.json.encode(example))
