"""Real bundles, small: generated customers, estimators fitted on folds, one graph each, as train leaves them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.pipeline import Pipeline

from churn.domain import bundle as bundles
from churn.domain import decision, encoding, partition
from churn.domain.contract import Candidate, Contract, parse
from churn.domain.derivation import Derivation
from churn.domain.preparation import Preparation
from churn.stores.settings import Settings
from churn.stores.traffic import Traffic, Variant
from churn.stores.traffic_store import open_traffic
from components.evaluate.evaluation import Evaluation
from components.evaluate.inputs import Training, Validation
from components.evaluate.step import evaluate
from components.train import assembly, estimators
from components.train.estimators import Balance

Vector = npt.NDArray[np.float64]

CONTRACT = """
name: shop
key: {column: customer, type: integer}
target: {column: gone, positive: 1}
columns:
  tenure: {type: integer, range: [0, 120]}
  charge: {type: number, nullable: true}
  calls: {type: integer}
  plan: {type: category, categories: [basic, plus, pro], source: Plan}
  region: {type: category, categories: [north, south]}
derived:
  tenure_log: {formula: log1p(tenure), told_as: tenure}
  is_new: {flag: tenure < 6, told_as: tenure}
  charge_band: {bin: charge, edges: [30, 60], labels: [low, middle, high], told_as: charge}
"""
LOGISTIC = Candidate(
    name="logistic",
    estimator="sklearn.linear_model.LogisticRegression",
    steps=(Candidate.__annotations__ and {"class": "sklearn.preprocessing.StandardScaler"},),
    params={"max_iter": 500},
)
"""An honest candidate: the customers are drawn from a logistic law."""


def contract(**changes: Any) -> Contract:
    """The shop's contract, with sections changed."""
    import msgspec

    document = msgspec.yaml.decode(CONTRACT)
    for section, values in changes.items():
        document[section] = {**document.get(section, {}), **values}
    return parse(msgspec.yaml.encode(document).decode(), "shop.yaml")
