"""Materialise, as a Kubeflow Pipelines component."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("data-processing"), install_kfp_package=False)
def materialise(
    contract: dsl.Input[dsl.Artifact],
    snapshot: dsl.Input[dsl.Dataset],
    features: dsl.Input[dsl.Dataset],
    report: dsl.Output[dsl.Artifact],
) -> None:
    """Fills the online store with the contract's columns as they are known at the run's as-of date.

    Rows of the prediction log say nothing of customers by their ids, so there is nothing to fill it with."""
    from components.reporting import reported

    with reported():
        from datetime import datetime
        from pathlib import Path

        from churn.domain.contract import load
        from churn.stores.settings import Settings
        from components.files import write_json
        from feature_repo.materialisation import materialise

        if snapshot.metadata.get("logged", False):
            write_json(report.path, None)
            return
        as_of = datetime.fromisoformat(snapshot.metadata["as_of"])
        settings = Settings.load().prepare()
        write_json(report.path, materialise(settings, load(Path(contract.path)), as_of, expected_source=features.uri))
