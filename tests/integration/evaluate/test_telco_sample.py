"""The IBM sample, exactly as downloaded, under the contract that comes with the project."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import csv

from churn.domain import contract as contracts
from churn.domain import parsing
from churn.domain.contract import Candidate
from components.evaluate.evaluation import Evaluation
from tests.integration.evaluate.shop import Trained

ROOT = Path(__file__).parents[3]
SAMPLE = Path(os.environ.get("CHURN_TELCO_CSV") or ROOT.parent / "shared" / "data" / "telco.csv")
XGBOOST = Candidate(
    name="xgboost",
    estimator="xgboost.XGBClassifier",
    params={"n_estimators": 200, "max_depth": 3, "learning_rate": 0.05, "subsample": 0.8, "reg_lambda": 5},
)


@pytest.mark.skipif(not SAMPLE.is_file(), reason="needs the IBM sample: CHURN_TELCO_CSV or ../shared/data/telco.csv")
def test_an_honest_model_of_the_ibm_sample_passes_the_gate(
    judge: Callable[..., Evaluation], make: Callable[..., Trained]
) -> None:
    telco = contracts.load(ROOT / "feature_repo" / "contracts" / "telco.yaml")
    names = SAMPLE.read_text(encoding="utf-8").partition("\n")[0].strip().split(",")
    options = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    table = parsing.parse(telco, csv.read_csv(SAMPLE, convert_options=options)).table
    stamp = pa.array([datetime(2026, 10, 1, tzinfo=UTC)] * table.num_rows, pa.timestamp("us", tz="UTC"))

    found = judge(make(telco, table.append_column("event_timestamp", stamp), candidate=XGBOOST))

    assert found.passed, found.reason
    assert found.metrics["cv"]["roc_auc"] > 0.84
    assert max(found.alone.values()) < 0.8, "no column of the sample comes near to a leak"
    assert found.importance[0].column == "contract"
    assert len(found.slices) > 40
