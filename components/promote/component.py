"""Promote, as a Kubeflow Pipelines component."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("model-training"), install_kfp_package=False)
def promote(
    contract: dsl.Input[dsl.Artifact],
    snapshot: dsl.Input[dsl.Dataset],
    bundle: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    report: dsl.Output[dsl.Artifact],
    share: float = 0.0,
) -> None:
    """Registers and publishes the bundle, and makes it the champion, or the challenger for a share of the customers."""
    from components.reporting import reported

    with reported():
        from pathlib import Path

        from churn.domain.bundle import Provenance
        from churn.domain.contract import load
        from churn.stores.settings import Settings
        from components.evaluate.evaluation import Evaluation
        from components.files import read_json, write_json
        from components.promote.step import promote

        provenance = Provenance(run=bundle.metadata["run"], as_of=snapshot.metadata["as_of"])
        judged = read_json(evaluation.path, Evaluation)
        settings, terms = Settings.load().prepare(), load(Path(contract.path))
        done = promote(settings, terms, Path(bundle.path), judged, provenance, share=share)
        write_json(report.path, done)
