from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.domain.errors import UserError
from churn.stores.settings import Settings
from components.train import data as training_data
from components.train.data import TrainingSet
from tests import training


def entities(tmp_path: Path, outcomes: list[int]) -> Path:
    keys = [f"c{i}" for i in range(len(outcomes))]
    table = pa.table({"customer_id": pa.array(keys, pa.string()), "churn": pa.array(outcomes, pa.int64())})
    pq.write_table(table, tmp_path / "entities.parquet")
    return tmp_path / "entities.parquet"


@pytest.mark.parametrize(
    ("outcomes", "says"), [([], "no row has an outcome"), ([0] * 40, "all rows have the same outcome")]
)
def test_rows_that_nothing_can_be_learned_from_are_refused(outcomes: list[int], says: str, tmp_path: Path) -> None:
    settings = Settings.load({"CHURN_HOME": str(tmp_path / "home")})
    with pytest.raises(UserError, match=f"column Churn: {says}.*'Yes' means positive"):
        training_data.join(settings, training.telco(), entities(tmp_path, outcomes), training_data.Source("", ""))


def test_fewer_rows_than_folds_are_refused(data: TrainingSet) -> None:
    fewer = {name: getattr(data, name)[:8] for name in ("table", "columns", "features", "y", "holdout")}
    with pytest.raises(UserError, match="fewer than 5 folds"):
        _ = replace(data, **fewer).rows


def test_development_rows_are_those_outside_of_the_hold_out_in_the_order_of_the_table(data: TrainingSet) -> None:
    assert np.array_equal(data.rows.y, data.y[~data.holdout])
    assert np.array_equal(data.rows.features, data.features[~data.holdout], equal_nan=True)
    assert sorted(np.concatenate([fold.test for fold in data.rows.folds])) == list(range(int((~data.holdout).sum())))
