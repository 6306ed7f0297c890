"""The one model that every server answers with: trained by the project, wrapped in scikit-learn for the peers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from xgboost import XGBClassifier

from churn.domain import contract as contracts
from churn.domain.contract import Candidate, Contract
from components.train import bundling, estimators, fitting, selection
from components.train.estimators import Balance
from tests.benchmarks.serving.peers import pipeline as peers
from tests.training import joined, valid_table

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[2]
NAME = "bench"
TREES, DEPTH = 200, 5
TRAINED_ON = 12_000
XGBOOST = Candidate(
    name="xgboost",
    estimator="xgboost.XGBClassifier",
    params={"n_estimators": TREES, "max_depth": DEPTH, "learning_rate": 0.05, "subsample": 0.8},
)

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Trained:
    """The bundle's folder with its digest, the scikit-learn pipeline's, and what a decision is made of."""

    contract: Contract
    folder: Path
    digest: str
    pipeline: Path
    threshold: float
    high_risk: float
    leaves: float

    def describe(self) -> str:
        return f"{TREES} trees of depth {DEPTH} ({self.leaves:.0f} leaves each), {len(self.contract.raw)} features"


def load_contract() -> Contract:
    return contracts.load(FOLDER / "contract.yaml")


def customers(count: int, seed: int) -> list[dict[str, Any]]:
    """Customers as a caller knows them: text, whole numbers, and numbers with the digits a person would write."""
    table = _columns(load_contract(), count, np.random.default_rng(seed))
    return [
        dict(zip(table, row, strict=True)) for row in zip(*(column.tolist() for column in table.values()), strict=True)
    ]


def train(folder: Path) -> Trained:
    """Trains on generated customers as the training step does, without its search; writes bundle and pipeline."""
    contract = load_contract()
    data = joined(contract, valid_table(contract, _source(contract)))
    with estimators.steady():
        folds = selection.Folds(contract, data.rows, Balance())
        judged = selection.judge(contract, data.rows, XGBOOST, selection.out_of_fold(folds, XGBOOST))
        model = fitting.fit(contract, data.rows, judged, [judged], Balance())
    digest = bundling.write(folder / "bundle", model, data)
    classifier = model.parts[0].pipeline["model"]
    pipeline = folder / "pipeline"
    _save_for_peers(pipeline, contract, classifier)
    trees = classifier.get_booster().trees_to_dataframe()
    leaves = float((trees.Feature == "Leaf").sum()) / TREES
    threshold, high = judged.threshold, max(judged.threshold, contract.high_risk)
    return Trained(contract, folder / "bundle", digest, pipeline, threshold, high, leaves)


def _save_for_peers(folder: Path, contract: Contract, classifier: XGBClassifier) -> None:
    """The same booster behind scikit-learn's encoding, its columns in the order that the booster was trained on."""
    coded = {name: list(one.categories) for name, one in contract.columns.items() if one.type == "category"}
    peers.save(folder, [name for name in contract.raw if name not in coded], coded, classifier)


def _source(contract: Contract) -> pa.Table:
    """A table as its owner keeps it: text, one row a customer, and who has left."""
    random = np.random.default_rng(0)
    columns = _columns(contract, TRAINED_ON, random)
    gone = random.random(TRAINED_ON) < _probability(contract, columns)
    text = {name: pa.array([str(value) for value in values.tolist()]) for name, values in columns.items()}
    keys = pa.array([f"C{number:06}" for number in range(TRAINED_ON)])
    return pa.table({"customer_id": keys, **text, "churned": pa.array(np.where(gone, "yes", "no"))})


def _columns(contract: Contract, count: int, random: np.random.Generator) -> dict[str, npt.NDArray[Any]]:
    """Columns of `count` customers within the contract's ranges."""
    found: dict[str, npt.NDArray[Any]] = {}
    for name, column in contract.columns.items():
        if column.type == "category":
            found[name] = np.array(column.categories)[random.integers(0, len(column.categories), count)]
            continue
        low, high = (float(bound or 0) for bound in column.range or (0, 1))
        share = random.beta(1.2, 5, count)
        value = low + share * (high - low)
        found[name] = np.rint(value).astype(np.int64) if column.type == "integer" else np.round(value, 3)
    return found


def _probability(contract: Contract, columns: dict[str, npt.NDArray[Any]]) -> Matrix:
    """A made-up truth with main effects and interactions, so that trees have something to find at every depth."""
    ranks = {
        name: np.unique(values, return_inverse=True)[1] / (len(np.unique(values)) - 1) - 0.5
        for name, values in columns.items()
    }
    strength = 1.5 * ranks["support_calls_90d"] - 2 * ranks["tenure_months"] - 2 * ranks["satisfaction"] - 1
    strength += 3 * ranks["monthly_charge"] * (columns["contract"] == "monthly") - 2 * ranks["competitor_price"]
    strength += (
        4 * ranks["data_gb_change"] * ranks["voice_change"] + 2 * (columns["payment"] == "invoice") * ranks["age"]
    )
    effects = np.random.default_rng(2).normal(0, 0.6, len(contract.raw))
    strength += sum(effect * ranks[name] for effect, name in zip(effects, contract.raw, strict=True))
    return np.asarray(1 / (1 + np.exp(-strength)))
