"""Conclude a retraining, as a Kubeflow Pipelines component."""

from typing import NamedTuple

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("model-training"), install_kfp_package=False)
def conclude(
    run: str,
    bundle: dsl.Input[dsl.Model],
    decision: dsl.Input[dsl.Artifact],
    evaluation: dsl.Input[dsl.Artifact],
    report: dsl.Output[dsl.Artifact],
    promotion: dsl.Input[dsl.Artifact] = None,
) -> NamedTuple("Concluded", [("outcome", str), ("reason", str)]):  # type: ignore[valid-type]
    """Writes down what came of the run: promoted, challenger, or refused. Without a `promotion` it is the last."""
    from components.reporting import reported

    with reported():
        from churn.domain.retraining import Decision
        from churn.stores.settings import Settings
        from components.conclude.step import conclude
        from components.evaluate.evaluation import Evaluation
        from components.files import read_json, write_json
        from components.promote.step import Promoted

        promoted = read_json(promotion.path, Promoted) if promotion else None
        judged = read_json(evaluation.path, Evaluation)
        settings, decided = Settings.load().prepare(), read_json(decision.path, Decision)
        done = conclude(settings, run, bundle.metadata["run"], decided, judged, promoted)
        write_json(report.path, done)
    return (done.outcome, done.reason)
