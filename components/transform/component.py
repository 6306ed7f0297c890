"""Transform, as a Kubeflow Pipelines component."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("data-processing"), install_kfp_package=False)
def transform(
    contract: dsl.Input[dsl.Artifact],
    snapshot: dsl.Input[dsl.Dataset],
    valid: dsl.Input[dsl.Dataset],
    features: dsl.Output[dsl.Dataset],
    entities: dsl.Output[dsl.Dataset],
) -> None:
    """Derives features, stores them where Feast's views read, and writes labels as entity rows."""
    from components.reporting import reported

    with reported():
        from pathlib import Path

        from churn.domain.contract import load
        from churn.stores.settings import Settings
        from components.transform.step import transform

        done = transform(
            Settings.load().prepare(),
            load(Path(contract.path)),
            Path(valid.path),
            Path(entities.path),
            snapshot.metadata["as_of"],
            logged=snapshot.metadata.get("logged", False),
        )
        features.uri = done.features
        features.metadata.update(rows=done.rows, logged=snapshot.metadata.get("logged", False))
        entities.metadata.update(labelled=done.labelled)
