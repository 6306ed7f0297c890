"""Small real training sets for tests: generated customers of the telco contract, and the IBM sample where it is."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import ClassVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv
from sklearn.base import BaseEstimator, ClassifierMixin

from churn.domain import contract as contracts
from churn.domain import encoding, parsing, partition
from churn.domain.contract import Candidate, Contract
from churn.domain.derivation import Derivation
from churn.domain.synthetic.snapshot import snapshot
from components.train import fitting, selection
from components.train.data import TrainingSet
from components.train.estimators import Balance, Design, Vector
from components.train.fitting import Model
from components.train.selection import Folds

ROOT = Path(__file__).resolve().parents[1]
DAY = datetime(2026, 3, 1, tzinfo=UTC)

LOGISTIC = Candidate(
    name="logistic",
    estimator="sklearn.linear_model.LogisticRegression",
    params={"C": 0.1, "max_iter": 500},
    steps=(contracts.Step(estimator="sklearn.preprocessing.StandardScaler"),),
)
XGBOOST = Candidate(name="xgboost", estimator="xgboost.XGBClassifier", params={"n_estimators": 40, "max_depth": 3})
LIGHTGBM = Candidate(name="lightgbm", estimator="lightgbm.LGBMClassifier", params={"n_estimators": 40, "num_leaves": 7})
FOREST = Candidate(
    name="forest",
    estimator="sklearn.ensemble.RandomForestClassifier",
    params={"n_estimators": 20, "max_depth": 6, "min_samples_leaf": 10},
)

GRADIENT_BOOSTING = Candidate(
    name="gradient-boosting",
    estimator="sklearn.ensemble.GradientBoostingClassifier",
    params={"n_estimators": 20, "max_depth": 3},
)
VOTE = Candidate(name="vote", ensemble="vote", members=("xgboost", "logistic"))


def telco(**training: object) -> Contract:
    """The telco contract, with other words on training where they are given."""
    found = contracts.load(ROOT / "feature_repo/contracts/telco.yaml")
    return msgspec.structs.replace(found, training=msgspec.structs.replace(found.training, **training))


def valid_table(contract: Contract, source: pa.Table, day: datetime = DAY) -> pa.Table:
    """A source table as the validation step hands it on: typed, every row valid and of one day."""
    table = parsing.parse(contract, source).table
    return table.append_column("event_timestamp", pa.array([day] * len(table), parsing.TIMESTAMP))


def joined(contract: Contract, valid: pa.Table) -> TrainingSet:
    """Valid rows as Feast's join gives them back, without Feast."""
    columns = encoding.encode(contract, valid)
    features = Derivation(contract).run(columns)
    table = valid.select([contract.key.column, "event_timestamp", contract.target.column])
    typed = encoding.decode(contract, features, contract.features)
    for name in contract.features:
        table = table.append_column(name, typed[name])
    return TrainingSet(
        contract=contract,
        digest="5" * 64,
        source="features/of/nobody",
        table=table,
        columns=columns,
        features=features,
        y=valid[contract.target.column].cast(pa.float64()).to_numpy(),
        holdout=partition.holdout(valid[contract.key.column], contract.training.holdout),
    )


@cache
def generated(customers: int = 1500, seed: int = 3) -> TrainingSet:
    """A training set of generated telco customers."""
    contract = telco()
    return joined(contract, valid_table(contract, snapshot(customers, seed)))


def fitted(data: TrainingSet, one: Candidate) -> Model:
    """The candidate, or an ensemble of XGBoost and logistic regression, fitted without the training step's search."""
    folds = Folds(data.contract, data.rows, Balance())
    members = [one] if not one.ensemble else [XGBOOST, LOGISTIC]
    judged = [selection.judge(data.contract, data.rows, m, selection.out_of_fold(folds, m)) for m in members]
    chosen = selection.ensemble(data.contract, data.rows, one, judged) if one.ensemble else judged[0]
    return fitting.fit(data.contract, data.rows, chosen, judged, Balance())


def blanked(data: TrainingSet, share: float = 0.2) -> TrainingSet:
    """The same customers with a share of their values lost."""
    lost = np.random.default_rng(1).random(data.columns.shape) < share
    columns = np.where(lost, np.nan, data.columns)
    features = Derivation(data.contract).run(columns)
    return replace(data, columns=columns, features=features)


def sample_file() -> Path | None:
    """The IBM sample: CHURN_TELCO_CSV, or beside the repository; None where it is not."""
    for place in (os.environ.get("CHURN_TELCO_CSV"), ROOT.parent / "shared/data/telco.csv"):
        if place and Path(place).is_file():
            return Path(place)
    return None


def read_csv(path: Path) -> pa.Table:
    """A CSV file as text."""
    names = path.open(encoding="utf-8").readline().strip().split(",")
    options = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    return pyarrow.csv.read_csv(path, convert_options=options)


class Recorder(ClassifierMixin, BaseEstimator):
    """An estimator that remembers what it was fitted on, and says .5 of everybody."""

    seen: ClassVar[list[tuple[Design, Vector, Vector | None]]] = []

    def fit(self, x, y, sample_weight=None):
        self.seen.append((x, y, sample_weight))
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, x):
        return np.full((len(x), 2), 0.5)


RECORDER = Candidate(name="recorder", estimator="tests.training.Recorder")
