"""Evaluate, as a Kubeflow Pipelines component."""

from typing import NamedTuple

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("model-training"), install_kfp_package=False)
def evaluate(
    contract: dsl.Input[dsl.Artifact],
    snapshot: dsl.Input[dsl.Dataset],
    bundle: dsl.Input[dsl.Model],
    scored: dsl.Input[dsl.Dataset],
    training: dsl.Input[dsl.Artifact],
    validation: dsl.Input[dsl.Artifact],
    evaluation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    curves: dsl.Output[dsl.ClassificationMetrics],
    report: dsl.Output[dsl.HTML],
    comparison: str = "",
    because: str = "",
) -> NamedTuple("Verdict", [("passed", bool), ("reason", str)]):  # type: ignore[valid-type]
    """Judges the bundle by the contract's gate and against the champion; a refusal ends well, with `passed` false."""
    from components.reporting import reported

    with reported():
        from pathlib import Path

        from churn.domain.contract import load
        from churn.stores.settings import Settings
        from components.evaluate import artifacts
        from components.evaluate.inputs import Inputs, Training, Validation
        from components.evaluate.report import render
        from components.evaluate.step import evaluate
        from components.files import read_json, write_json

        inputs = Inputs(
            contract=load(Path(contract.path)),
            bundle=Path(bundle.path),
            scored=Path(scored.path),
            training=read_json(training.path, Training),
            validation=read_json(validation.path, Validation),
            source=snapshot.metadata.get("source", ""),
            as_of=snapshot.metadata.get("as_of", ""),
            comparison=comparison,
            because=because,
        )
        found = evaluate(Settings.load(), inputs)
        write_json(evaluation.path, found)
        Path(report.path).write_text(render(found), encoding="utf-8")
        artifacts.log_metrics(metrics, found)
        artifacts.log_curves(curves, found)
    return (found.passed, found.reason)
