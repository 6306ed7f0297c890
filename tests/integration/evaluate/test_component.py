"""The step as Kubeflow Pipelines runs it, in the environment of its image's role.

KFP reads annotations as objects: no `from __future__ import annotations` beside a component.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from kfp import dsl
from kfp.dsl.graph_component import GraphComponent

from churn.domain.errors import UserError
from churn.stores.settings import Settings
from components.evaluate.component import evaluate
from components.evaluate.evaluation import Evaluation
from components.files import read_json
from components.images import image
from local.runner import Run, run
from tests.integration.evaluate.shop import Trained, contract_with


@dsl.component(base_image=image("model-training"), install_kfp_package=False)
def promote() -> str:
    return "promoted"


def pipeline_over(folder: Path) -> GraphComponent:
    """The step behind importers of files, for an importer takes constants only."""

    @dsl.pipeline(name="judged")
    def judged(comparison: str = ""):
        def given(name: str, kind: type = dsl.Artifact, **metadata: str):
            return dsl.importer(artifact_uri=str(folder / name), artifact_class=kind, metadata=metadata).output

        verdict = evaluate(
            contract=given("contract.yaml"),
            snapshot=given("snapshot.parquet", dsl.Dataset, source="customers.csv"),
            bundle=given("bundle", dsl.Model),
            scored=given("scored.parquet", dsl.Dataset),
            training=given("training.json"),
            validation=given("validation.json"),
            comparison=comparison,
        )
        with dsl.If(verdict.outputs["passed"] == True):  # noqa: E712 - KFP compares, Python does not
            promote()

    return judged


def laid_out(trained: Trained, folder: Path) -> Path:
    """What the steps before leave, where the importers find it."""
    (folder / "contract.yaml").write_text(trained.contract.to_yaml())
    (folder / "snapshot.parquet").touch()
    (folder / "bundle").symlink_to(trained.bundle)
    (folder / "scored.parquet").symlink_to(trained.scored)
    cv = {"roc_auc": {"mean": 0.88, "std": 0.01}, "f1": {"mean": None, "std": None}}
    candidates = [{"name": "logistic", "chosen": True, "cv": cv, "note": ""}]
    report = {"null_parity": 1e-7, "candidates": candidates, "run": "a field that is of no interest here"}
    (folder / "training.json").write_text(json.dumps(report))
    (folder / "validation.json").write_text(
        json.dumps({"rows": 5000, "quarantined": 12, "duplicates": 0, "faults": []})
    )
    return folder


def steps_of(result: Run) -> list[str]:
    return [step.name for step in result.steps]


@pytest.fixture
def run_judged(tmp_path: Path, settings: Settings) -> Callable[..., Run]:
    def run_judged(trained: Trained, **arguments: str) -> Run:
        (tmp_path / "given").mkdir()
        folder = laid_out(trained, tmp_path / "given")
        environment = {"CHURN_HOME": str(settings.home)}
        return run(pipeline_over(folder), arguments, name="judged", root=tmp_path / "runs", environment=environment)

    return run_judged


def test_a_model_that_passes_goes_on_and_leaves_its_evaluation_metrics_curves_and_report(
    run_judged: Callable[..., Run], honest: Trained
) -> None:
    result = run_judged(honest)

    assert steps_of(result) == ["evaluate", "promote"]
    outputs = result.step("evaluate").outputs
    assert outputs["passed"] is True
    assert outputs["reason"].startswith("promoted: roc_auc 0.88")
    found = read_json(outputs["evaluation"].path, Evaluation)
    assert found.reason == outputs["reason"]
    assert found.candidates[0].cv["roc_auc"].mean == 0.88
    assert found.data.quarantined == 12
    assert outputs["metrics"].metadata["holdout_roc_auc"] == found.metrics["holdout"]["roc_auc"]
    assert outputs["metrics"].metadata["cv_ece"] == found.metrics["cv"]["ece"]
    curve = outputs["curves"].metadata["confidenceMetrics"]
    assert (curve[0]["falsePositiveRate"], curve[-1]["recall"]) == (0, 1)
    assert "confusionMatrix" in outputs["curves"].metadata
    assert Path(outputs["report"].path).read_text().startswith("<!doctype html>")


def test_the_function_behind_the_step_needs_no_pipeline(
    honest: Trained, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_HOME", str(settings.home))
    folder = laid_out(honest, tmp_path)
    outputs = {
        name: kind(name=name, uri=str(tmp_path / "out" / name), metadata={})
        for name, kind in {
            "evaluation": dsl.Artifact,
            "metrics": dsl.Metrics,
            "curves": dsl.ClassificationMetrics,
            "report": dsl.HTML,
        }.items()
    }
    passed, reason = evaluate.python_func(
        contract=dsl.Artifact(uri=str(folder / "contract.yaml")),
        snapshot=dsl.Dataset(uri=str(folder / "snapshot.parquet")),
        bundle=dsl.Model(uri=str(folder / "bundle")),
        scored=dsl.Dataset(uri=str(folder / "scored.parquet")),
        training=dsl.Artifact(uri=str(folder / "training.json")),
        validation=dsl.Artifact(uri=str(folder / "validation.json")),
        **outputs,
    )

    found = read_json(outputs["evaluation"].path, Evaluation)
    assert (passed, reason) == (found.passed, found.reason) == (True, reason)
    matrix = [row["row"] for row in outputs["curves"].metadata["confusionMatrix"]["rows"]]
    confusion = found.confusion
    assert matrix == [
        [confusion.true_positives, confusion.false_negatives],
        [confusion.false_positives, confusion.true_negatives],
    ]
    assert outputs["metrics"].metadata["latency_ms"] == found.latency_ms


def test_a_refused_model_ends_well_and_goes_no_further(
    run_judged: Callable[..., Run], honest: Trained, serve: Callable[[Trained], None]
) -> None:
    serve(honest)
    result = run_judged(honest, comparison="non-inferior")

    assert result.status == "SUCCEEDED"
    assert steps_of(result) == ["evaluate"]
    outputs = result.step("evaluate").outputs
    assert outputs["passed"] is False
    assert outputs["reason"] == "refused: it is merely equal to version 3: the same bundle"


def test_a_leaking_column_fails_the_run_with_table_column_and_remedy(
    run_judged: Callable[..., Run], make: Callable[..., Trained], table: pa.Table
) -> None:
    contract = contract_with(columns={"refund": {"type": "integer"}})
    leaking = make(contract, table.append_column("refund", table["gone"]))

    with pytest.raises(UserError) as error:
        run_judged(leaking)
    assert "customers.csv, column refund: tells on its own who left" in str(error.value)
    assert "remove refund from the contract's columns" in str(error.value)
