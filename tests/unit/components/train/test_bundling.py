from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from churn.domain import bundle
from churn.domain.contract import Candidate
from churn.domain.graph import Graph
from components.train import bundling, estimators
from components.train.data import TrainingSet
from components.train.fitting import Model
from tests import training
from tests.training import FOREST, LIGHTGBM, LOGISTIC, VOTE, XGBOOST, fitted


@pytest.fixture(scope="module", params=[XGBOOST, LIGHTGBM, LOGISTIC, VOTE], ids=lambda one: one.name)
def model(request, data: TrainingSet) -> Model:
    with estimators.steady():
        return fitted(data, request.param)


@pytest.fixture
def written(model: Model, data: TrainingSet, tmp_path: Path) -> bundle.Bundle:
    return bundle.load(tmp_path, bundling.write(tmp_path, model, data))


def test_a_bundle_answers_its_own_example(written: bundle.Bundle) -> None:
    bundle.self_test(written)


def test_a_second_attempt_takes_the_place_of_the_first(model: Model, data: TrainingSet, tmp_path: Path) -> None:
    (tmp_path / "booster.txt").write_text("left by an attempt that was killed")
    first = bundling.write(tmp_path, model, data)
    assert bundling.write(tmp_path, model, data) == first


def test_a_bundle_says_what_its_estimators_say(written: bundle.Bundle, model: Model, data: TrainingSet) -> None:
    assert np.abs(written.predict(data.columns) - model.predict(data.features)).max() <= 1e-5


def test_a_bundle_knows_where_it_comes_from(written: bundle.Bundle, model: Model, data: TrainingSet) -> None:
    manifest = written.manifest
    assert written.contract == data.contract
    assert (manifest.model, manifest.contract, manifest.data) == ("telco", data.contract.digest, data.digest)
    assert manifest.candidate == model.chosen.candidate.name
    assert manifest.threshold == model.chosen.threshold
    assert manifest.metrics["roc_auc"] == model.chosen.cv["roc_auc"].mean
    assert manifest.online.view == f"raw_{data.contract.digest[:12]}"
    assert set(manifest.origins) <= set(data.contract.features)
    assert len(manifest.origins) == len(manifest.design) == len(set(manifest.design))


def test_the_reference_holds_features_and_no_key_and_what_the_model_says_of_rows_it_has_not_learned_from(
    written: bundle.Bundle, model: Model, data: TrainingSet
) -> None:
    reference = pq.read_table(written.folder / "reference.parquet")
    assert reference.column_names == [*data.contract.features, "probability"]
    assert reference.num_rows == len(data.y)
    assert reference.drop_columns(["probability"]).equals(data.table.select(data.contract.features).combine_chunks())
    answered = reference["probability"].is_valid().to_numpy(zero_copy_only=False)
    assert np.array_equal(answered, data.holdout)
    graph = written.predict(data.columns[data.holdout])
    assert np.allclose(reference["probability"].to_numpy()[answered], graph, rtol=0, atol=1e-6)


def test_no_customer_can_be_told_from_the_reference_or_the_example(written: bundle.Bundle, data: TrainingSet) -> None:
    keys = set(data.keys.to_pylist())
    reference = pq.read_table(written.folder / "reference.parquet").to_pylist()
    assert not keys & {str(value) for row in reference for value in row.values()}
    for path in written.folder.iterdir():
        content = path.read_bytes()
        assert not any(key.encode() in content for key in keys), path.name


def test_spans_are_what_training_has_seen_of_each_column_and_not_of_the_hold_out(
    written: bundle.Bundle, data: TrainingSet
) -> None:
    seen = data.columns[data.development]
    for name, (low, high), values in zip(data.contract.raw, written.manifest.spans, seen.T, strict=True):
        categories = data.contract.columns[name].categories
        expected = (0, len(categories) - 1) if categories else (np.nanmin(values), np.nanmax(values))
        assert (low, high) == expected


def test_a_column_that_is_always_null_has_no_value_outside_of_its_span() -> None:
    contract = training.telco()
    spans = bundle.spans(contract, np.full((5, len(contract.raw)), np.nan))
    low, high = spans[contract.raw.index("tenure")]
    assert low < -1e300 < 1e300 < high


def test_a_large_reference_is_a_sample_that_does_not_depend_on_the_order_of_rows(
    data: TrainingSet, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(bundling, "REFERENCE_ROWS", 50)
    turned = np.arange(len(data.y))[::-1]
    other = replace(
        data, table=data.table.take(turned), columns=data.columns[turned], features=data.features[turned],
        y=data.y[turned], holdout=data.holdout[turned],
    )  # fmt: skip
    found = []
    for number, one in enumerate((data, other)):
        bundling.write(tmp_path / str(number), fitted(one, LOGISTIC), one)
        found.append(pq.read_table(tmp_path / str(number) / "reference.parquet").drop_columns(["probability"]))
    rows = [sorted(map(repr, table.to_pylist())) for table in found]
    assert len(rows[0]) == 50
    assert rows[0] == rows[1]


@pytest.mark.parametrize(("one", "file"), [(XGBOOST, "booster.ubj"), (LIGHTGBM, "booster.txt")], ids=str)
def test_the_native_booster_on_the_design_says_what_the_graph_says(
    one: Candidate, file: str, data: TrainingSet, tmp_path: Path
) -> None:
    opened = bundle.load(tmp_path, bundling.write(tmp_path, fitted(data, one), data))
    assert opened.manifest.booster == file
    design = Graph((tmp_path / "design.onnx").read_bytes()).run(data.columns)[0]
    assert design.shape[1] == len(opened.manifest.design)
    if file == "booster.ubj":
        import xgboost

        native = xgboost.Booster(model_file=tmp_path / file).inplace_predict(design)
    else:
        import lightgbm

        native = lightgbm.Booster(model_file=tmp_path / file).predict(design)
    assert np.abs(native - opened.predict(data.columns)).max() <= 1e-6


def test_a_booster_behind_a_transformer_is_not_given_as_a_native_one(data: TrainingSet, tmp_path: Path) -> None:
    scaled = msgspec.structs.replace(XGBOOST, steps=LOGISTIC.steps)
    assert bundle.load(tmp_path, bundling.write(tmp_path, fitted(data, scaled), data)).manifest.booster == ""


def test_every_row_is_scored_and_the_hold_out_only_by_the_fitted_model(data: TrainingSet, tmp_path: Path) -> None:
    model = fitted(data, XGBOOST)
    bundling.write_scored(tmp_path / "deep/scored.parquet", model, data)
    scored = pq.read_table(tmp_path / "deep/scored.parquet")
    assert scored.column_names == [*data.table.column_names, "holdout", "fold", "oof", "prediction"]
    holdout = scored["holdout"].to_numpy()
    assert np.array_equal(holdout, data.holdout)
    assert 0.1 < holdout.mean() < 0.2
    for name in ("fold", "oof"):
        assert np.array_equal(scored[name].is_null().to_numpy(), holdout)
    assert np.array_equal(scored["prediction"].to_numpy(), model.predict(data.features))
    assert np.array_equal(scored["oof"].to_numpy()[~holdout], model.chosen.oof)
    assert set(scored["fold"].drop_null().to_pylist()) == set(range(5))


AGAIN = """
import sys
from pathlib import Path
from components.train import bundling, estimators
from tests import training
of = (training.XGBOOST, training.LIGHTGBM, training.LOGISTIC, training.FOREST, training.VOTE)
candidates = {one.name: one for one in of}
data = training.generated()
with estimators.steady():
    for name in sys.argv[2:]:
        print(bundling.write(Path(sys.argv[1], name), training.fitted(data, candidates[name]), data))
"""


def test_the_same_rows_give_the_same_bundle_byte_for_byte_in_another_process(data: TrainingSet, tmp_path: Path) -> None:
    candidates = (XGBOOST, LIGHTGBM, LOGISTIC, FOREST, VOTE)
    here = [bundling.write(tmp_path / one.name, fitted(data, one), data) for one in candidates]
    done = subprocess.run(
        [sys.executable, "-c", AGAIN, str(tmp_path / "again"), *(one.name for one in candidates)],
        cwd=training.ROOT, env={**os.environ, "PYTHONHASHSEED": "11", "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == here
    assert len(set(here)) == len(candidates)
