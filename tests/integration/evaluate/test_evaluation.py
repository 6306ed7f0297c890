"""What the step finds out, beside the verdict."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from churn.domain import bundle as bundles
from churn.domain import encoding, metrics
from churn.domain.contract import Costs
from churn.domain.errors import UserError
from components.evaluate.evaluation import Evaluation
from components.evaluate.inputs import Validation
from components.files import read_json, write_json
from tests.integration.evaluate.shop import Trained, contract_with, customers

Judge = Callable[..., Evaluation]
Make = Callable[..., Trained]


@pytest.fixture(scope="module")
def scored(honest: Trained) -> pa.Table:
    return pq.read_table(honest.scored)


def test_metrics_are_those_of_the_graph_on_the_holdout_and_of_the_predictions_out_of_fold(
    judge: Judge, honest: Trained, scored: pa.Table
) -> None:
    found = judge(honest)
    opened = bundles.load(honest.bundle)
    held, folds = scored.filter(scored["holdout"]), scored.filter(pc.is_valid(scored["oof"]))
    p = opened.predict(encoding.encode(honest.contract, held))
    threshold, costs = opened.manifest.threshold, honest.contract.costs

    assert held.num_rows + folds.num_rows == scored.num_rows
    assert found.metrics["holdout"] == metrics.measure(held["gone"].to_numpy(), p, threshold, costs)
    y, oof = folds["gone"].to_numpy(), folds["oof"].to_numpy()
    assert found.metrics["cv"] == pytest.approx(metrics.measure(y, oof, threshold, costs))


def test_worth_confusion_and_curves_tell_the_same_story(judge: Judge, honest: Trained) -> None:
    found = judge(honest)
    matrix, worth, rows = found.confusion, found.worth, found.data.holdout
    costs = Costs()

    assert matrix.true_positives + matrix.false_positives + matrix.false_negatives + matrix.true_negatives == rows
    contacted = matrix.true_positives + matrix.false_positives
    assert worth.contacted == pytest.approx(1000 * contacted / rows)
    gain = matrix.true_positives * costs.success * costs.value - contacted * costs.contact
    assert worth.model == pytest.approx(1000 * gain / rows)
    assert worth.model == pytest.approx(1000 * found.metrics["holdout"]["expected_profit"])
    assert worth.everyone == pytest.approx(found.curves.profit.y[-1], abs=1e-5)
    assert found.curves.profit.y[0] == 0
    assert worth.model > max(worth.everyone, 0)
    assert max(found.curves.profit.y) >= worth.model * 0.98
    assert (found.curves.roc.x[0], found.curves.roc.y[0]) == (0, 0)
    assert (found.curves.roc.x[-1], found.curves.roc.y[-1]) == (1, 1)
    area = np.trapezoid(found.curves.roc.y, found.curves.roc.x)
    assert area == pytest.approx(found.metrics["holdout"]["roc_auc"], abs=0.003)
    assert sum(found.curves.calibration.rows) == rows


def test_slices_are_the_categories_with_fifty_holdout_rows(judge: Judge, honest: Trained, scored: pa.Table) -> None:
    found = judge(honest)
    held = scored.filter(scored["holdout"])
    by_name = {(one.feature, one.category): one for one in found.slices}

    assert {one.feature for one in found.slices} == {"plan", "region", "charge_band"}
    north = held.filter(pc.equal(held["region"], "north"))
    assert by_name["region", "north"].rows == north.num_rows
    assert by_name["region", "north"].rate == pytest.approx(north["gone"].to_numpy().mean())
    missing = held["charge_band"].null_count
    assert 0 < missing < 50
    assert ("charge_band", None) not in by_name
    assert sum(one.rows for one in found.slices if one.feature == "charge_band") == held.num_rows - missing


def test_importances_find_the_columns_that_matter(judge: Judge, honest: Trained) -> None:
    found = {one.column: one.mean for one in judge(honest).importance}

    assert set(found) == set(honest.contract.raw)
    assert next(iter(found)) == "tenure"
    assert abs(found["region"]) < 0.002 < found["calls"]


def test_every_feature_is_asked_alone(judge: Judge, honest: Trained) -> None:
    found = judge(honest).alone

    assert set(found) == set(honest.contract.features)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert found["tenure"] == pytest.approx(found["tenure_log"])
    assert 0.47 < found["region"] < 0.53


def test_the_data_is_described(judge: Judge, honest: Trained) -> None:
    found = judge(honest, validation=Validation(rows=5100, quarantined=90, duplicates=10)).data

    assert (found.read, found.quarantined, found.duplicates) == (5100, 90, 10)
    assert (found.first, found.last) == ("2026-10-01", "2026-10-01")
    assert found.rows == 5000
    assert 650 < found.holdout < 850


def test_the_evaluation_is_read_back_as_it_was_written(judge: Judge, honest: Trained, tmp_path: Path) -> None:
    found = judge(honest)
    write_json(tmp_path / "evaluation.json", found)

    assert read_json(tmp_path / "evaluation.json", Evaluation) == found


def test_two_evaluations_of_one_bundle_differ_in_nothing_but_time(judge: Judge, honest: Trained) -> None:
    first, second = judge(honest), judge(honest)

    assert (first.metrics, first.alone, first.importance, first.curves) == (
        second.metrics,
        second.alone,
        second.importance,
        second.curves,
    )


def test_a_holdout_of_one_outcome_cannot_be_judged(
    judge: Judge, honest: Trained, scored: pa.Table, tmp_path: Path
) -> None:
    y = np.where(scored["holdout"].to_numpy(), 0, scored["gone"].to_numpy())
    position = scored.column_names.index("gone")
    pq.write_table(scored.set_column(position, "gone", pa.array(y)), tmp_path / "scored.parquet")

    with pytest.raises(UserError, match="customers in the hold-out stayed") as error:
        judge(honest, scored=tmp_path / "scored.parquet")
    assert error.value.remedy == "more rows, or a larger share in the contract"


def test_an_empty_holdout_cannot_be_judged(judge: Judge, honest: Trained, scored: pa.Table, tmp_path: Path) -> None:
    pq.write_table(scored.filter(pc.invert(scored["holdout"])), tmp_path / "scored.parquet")

    with pytest.raises(UserError, match="the hold-out is empty"):
        judge(honest, scored=tmp_path / "scored.parquet")


def test_a_bundle_is_not_judged_by_a_contract_it_was_not_trained_under(judge: Judge, honest: Trained) -> None:
    with pytest.raises(UserError, match="was trained under another contract"):
        judge(honest, contract=contract_with(gate={"ece": 1.0}))


def test_rows_of_several_months_are_dated_from_first_to_last(judge: Judge, make: Make) -> None:
    """With months, folds go forward: the first months have no out-of-fold prediction, and that is no obstacle."""
    parts = []
    for month in range(1, 7):
        part = customers(1500, seed=month)
        stamp = pa.array([datetime(2026, month, 1, tzinfo=UTC)] * part.num_rows, pa.timestamp("us", tz="UTC"))
        parts.append(part.set_column(1, "event_timestamp", stamp))
    found = judge(make(contract_with(), pa.concat_tables(parts)))

    assert (found.data.first, found.data.last) == ("2026-01-01", "2026-06-01")
    assert found.passed
    assert sum(found.curves.calibration_cv.rows) < found.data.rows - found.data.holdout


def test_seven_thousand_rows_are_judged_within_five_seconds(judge: Judge, make: Make) -> None:
    trained = make(contract_with(), customers(7000))
    began = time.process_time()
    judge(trained)

    assert time.process_time() - began < 5
