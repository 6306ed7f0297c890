"""The training step for real: Feast's registry and join, the object store, MLflow on SQLite."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from churn.domain import bundle, encoding, metrics, parsing, partition
from churn.domain.contract import Candidate, Contract, EventTimestamp
from churn.domain.errors import UserError
from churn.domain.synthetic.population import Population
from churn.domain.synthetic.snapshot import snapshot
from churn.stores.mlflow_client import connect
from components.train.options import options
from components.train.record import Trained
from tests import training
from tests.integration.train.conftest import Case
from tests.training import FOREST, LIGHTGBM, LOGISTIC, XGBOOST

STACK = Candidate(name="stack", ensemble="stack", members=("xgboost", "logistic", "forest"))
SIX = {"calibration", "confusion", "importances", "precision_recall", "profit", "roc"}


def quick(*candidates: Candidate) -> Contract:
    return msgspec.structs.replace(
        training.telco(), candidates=candidates or (XGBOOST, LOGISTIC, FOREST, LIGHTGBM, STACK)
    )


def customers(contract: Contract, count: int = 1500) -> pa.Table:
    return training.valid_table(contract, snapshot(count, seed=3))


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Case:
    return Case.of(quick(), customers(quick()), tmp_path_factory.mktemp("train"))


@pytest.fixture(scope="module")
def trained(case: Case) -> Trained:
    return case.train()


def test_the_report_tells_of_every_candidate_and_of_the_one_chosen(trained: Trained, case: Case) -> None:
    assert [one.name for one in trained.candidates] == ["xgboost", "logistic", "forest", "lightgbm", "stack"]
    (chosen,) = [one for one in trained.candidates if one.chosen]
    assert chosen.name == trained.candidate
    assert set(chosen.cv) == set(trained.cv) == set(metrics.NAMES)
    assert 0.75 < trained.cv["roc_auc"] < 0.9
    assert chosen.cv["log_loss"].mean == pytest.approx(trained.cv["log_loss"], abs=0.01)
    assert trained.rows == 1500
    assert 150 < trained.holdout < 300
    assert trained.null_parity <= 1e-5
    assert trained.dropped == ()
    assert [line.partition(":")[0] for line in case.said] == [
        "xgboost", "logistic", "forest", "lightgbm", "stack", "chosen",
    ]  # fmt: skip


def test_the_bundle_agrees_with_the_estimators_own_predictions_for_every_row(trained: Trained, case: Case) -> None:
    opened = bundle.load(case.artifacts.bundle, trained.digest)
    bundle.self_test(opened)
    scored = case.scored
    assert opened.contract == case.contract
    assert opened.manifest.data == case.artifacts.snapshot
    p = opened.predict(encoding.encode(case.contract, scored))
    assert np.abs(p - scored["prediction"].to_numpy()).max() <= 1e-5


def test_scored_rows_are_the_entity_rows_with_features_fold_and_predictions(trained: Trained, case: Case) -> None:
    scored = case.scored
    added = ["holdout", "fold", "oof", "prediction"]
    assert scored.column_names == ["customer_id", "event_timestamp", "churn", *case.contract.features, *added]
    assert scored.schema.field("churn").type == pa.int64()
    for name, kind in zip(added, (pa.bool_(), pa.int64(), pa.float64(), pa.float64()), strict=True):
        assert scored.schema.field(name).type == kind
    features = scored.select(case.contract.features)
    assert features.schema.equals(encoding.feature_schema(case.contract, case.contract.features))
    held = scored["holdout"].to_numpy()
    assert np.array_equal(held, partition.holdout(scored["customer_id"], 0.15))
    assert np.array_equal(scored["oof"].is_null().to_numpy(), held)
    y, oof = scored["churn"].to_numpy()[~held].astype(float), scored["oof"].to_numpy()[~held]
    assert metrics.log_loss(y, oof) == pytest.approx(trained.cv["log_loss"])


def test_the_run_in_mlflow_holds_all_that_was_done(trained: Trained, case: Case) -> None:
    client = connect(case.settings)
    run = client.get_run(trained.run)
    assert run.info.status == "FINISHED"
    assert run.data.params["candidate"] == trained.candidate
    assert run.data.params["folds"] == "5"
    assert run.data.params["resample"] == "none"
    assert run.data.params["estimator.class"] == "sklearn.linear_model.LogisticRegression"
    assert run.data.params["estimator.C"] == "0.1"
    assert run.data.metrics["cv_roc_auc"] == trained.cv["roc_auc"]
    assert run.data.metrics["candidate.stack.log_loss"] == trained.candidates[-1].cv["log_loss"].mean
    assert run.data.tags["data.digest"] == case.artifacts.snapshot
    assert run.data.tags["bundle.digest"] == trained.digest
    assert run.data.tags["contract.digest"] == case.contract.digest
    (dataset,) = run.inputs.dataset_inputs
    assert dataset.dataset.digest == case.artifacts.snapshot[:36]
    assert {Path(file.path).stem for file in client.list_artifacts(trained.run, "plots")} == SIX


def test_the_model_in_mlflow_has_a_signature_and_an_input_example(trained: Trained, case: Case) -> None:
    import mlflow

    client = connect(case.settings)
    (output,) = client.get_run(trained.run).outputs.model_outputs
    location = client.get_logged_model(output.model_id).artifact_location
    logged = mlflow.models.Model.load(location)
    assert [column.name for column in logged.signature.inputs] == ["columns"]
    assert logged.signature.inputs.inputs[0].shape == (-1, len(case.contract.raw))
    assert logged.saved_input_example_info


def test_training_again_elsewhere_gives_the_same_bundle_and_the_same_scores(
    trained: Trained, case: Case, tmp_path: Path
) -> None:
    again = Case.of(case.contract, customers(case.contract), tmp_path)
    assert again.train().digest == trained.digest
    assert again.scored.equals(case.scored)


@pytest.mark.parametrize(
    ("changes", "differ"),
    [
        ({"churn": lambda outcome: pc.subtract(1, outcome)}, set()),
        ({"monthly_charges": lambda charges: pc.multiply(charges, 3.0)}, {"reference.parquet"}),
    ],
    ids=["outcomes", "charges"],
)
def test_nothing_is_learned_from_the_hold_out(
    trained: Trained, case: Case, tmp_path: Path, changes: dict[str, Any], differ: set[str]
) -> None:
    """Other outcomes of every customer in it, and the bundle is the same; other charges, and it is but for the sample
    of features that drift is judged against."""
    valid = customers(case.contract)
    held = pa.array(partition.holdout(valid["customer_id"], 0.15))
    for name, changed in changes.items():
        values = pc.if_else(held, changed(valid[name]), valid[name])
        valid = valid.set_column(valid.column_names.index(name), name, values)
    other = Case.of(case.contract, valid, tmp_path)
    found = other.train()
    files, before = (bundle.load(of.artifacts.bundle, one.digest).manifest.files
                     for of, one in ((other, found), (case, trained)))  # fmt: skip
    assert {name for name in files if files[name] != before[name]} == differ
    assert (found.digest == trained.digest) == (not differ)
    assert not other.scored.equals(case.scored)


def test_options_reach_the_training(case: Case, tmp_path: Path) -> None:
    contract = quick(msgspec.structs.replace(LOGISTIC, tune={"C": {"log": [0.01, 1.0]}}), XGBOOST, FOREST, STACK)
    other = Case.of(contract, customers(contract), tmp_path)
    found = other.train(options("logistic", 2, "random", "smote", "balanced"))
    assert [one.name for one in found.candidates] == ["logistic"]
    assert found.cv["ece"] > 0.1, "balanced classes are not calibrated"
    params = connect(other.settings).get_run(found.run).data.params
    assert (params["tune_trials"], params["tune_sampler"]) == ("2", "random")
    assert (params["resample"], params["class_weight"]) == ("smote", "balanced")
    assert [line for line in other.said if "trial 2 of 2" in line]
    assert (other.settings.home / "tuning.db").is_file()
    assert found.null_parity <= 1e-5


def test_an_ensemble_that_is_asked_for_alone_is_chosen_over_its_members(case: Case, tmp_path: Path) -> None:
    other = Case.of(case.contract, customers(case.contract), tmp_path)
    found = other.train(options("stack"))
    assert found.candidate == "stack"
    notes = {one.name: one.note for one in found.candidates}
    assert notes == {**dict.fromkeys(("xgboost", "logistic", "forest"), "judged as a member only"), "stack": ""}
    opened = bundle.load(other.artifacts.bundle, found.digest)
    assert (opened.manifest.estimator, opened.manifest.booster) == ("stack", "")
    p = opened.predict(encoding.encode(other.contract, other.scored))
    assert np.abs(p - other.scored["prediction"].to_numpy()).max() <= 1e-5


def test_snapshots_of_several_months_are_judged_forward_in_time(tmp_path: Path) -> None:
    contract = msgspec.structs.replace(quick(XGBOOST), event_timestamp=EventTimestamp(column="snapshot_date"))
    population, months = Population(700, seed=5), []
    for _ in range(4):
        months.append(population.labelled())
        population.advance()
    valid = parsing.parse(contract, pa.concat_tables(months)).table
    other = Case.of(contract, valid.filter(valid["churn"].is_valid()), tmp_path)
    found = other.train()
    scored = other.scored
    judged = scored.filter(scored["fold"].is_valid())
    first = pc.min(scored["event_timestamp"])
    assert 0 < judged.num_rows < found.rows - found.holdout
    assert pc.min(judged["event_timestamp"]).as_py() > first.as_py()
    assert pc.all(pc.equal(judged["oof"].is_null(), False)).as_py()
    assert found.null_parity <= 1e-5


def test_a_table_without_a_key_is_trained_on_its_rows_contents(tmp_path: Path) -> None:
    contract = msgspec.structs.replace(quick(LOGISTIC), key=None, name="nameless")
    valid = customers(quick())
    keys = pa.array([f"{number:032x}" for number in range(valid.num_rows)])
    other = Case.of(contract, valid.drop_columns(["customer_id"]).append_column("entity_id", keys), tmp_path)
    assert other.train().candidate == "logistic"
    assert "entity_id" in other.scored.column_names


def test_with_the_registry_gone_training_fails(case: Case, tmp_path: Path) -> None:
    other = Case.of(case.contract, customers(case.contract, 300), tmp_path)
    shutil.rmtree(other.settings.home / "feast")
    with pytest.raises(UserError, match="the feature registry holds nothing of this contract"):
        other.train()


def test_a_candidate_that_fails_ends_its_run_as_failed_and_leaves_no_bundle(tmp_path: Path) -> None:
    contract = quick(msgspec.structs.replace(FOREST, params={"max_depth": -1}))
    other = Case.of(contract, customers(contract, 400), tmp_path)
    with pytest.raises(UserError, match="candidate forest: cannot be fitted: The 'max_depth' parameter"):
        other.train()
    client = connect(other.settings)
    experiment = client.get_experiment_by_name(contract.name)
    assert [run.info.status for run in client.search_runs([experiment.experiment_id])] == ["FAILED"]
    assert not other.artifacts.bundle.exists()
    assert not other.artifacts.scored.exists()


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (lambda table: table.slice(0, 8), "fewer than 5 folds"),
        (lambda table: table.filter(pc.equal(table["churn"], 0)), "all rows have the same outcome"),
        (lambda table: table.slice(0, 0), "no row has an outcome"),
    ],
    ids=["fewer rows than folds", "one outcome", "no rows"],
)
def test_rows_that_cannot_be_trained_on_are_refused(rows, says: str, tmp_path: Path) -> None:
    other = Case.of(quick(XGBOOST), customers(quick()), tmp_path)
    pq.write_table(rows(pq.read_table(other.artifacts.entities)), other.artifacts.entities)
    with pytest.raises(UserError, match=says):
        other.train()
