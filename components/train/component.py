"""Train, as a Kubeflow Pipelines component."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("model-training"), install_kfp_package=False)
def train(
    contract: dsl.Input[dsl.Artifact],
    snapshot: dsl.Input[dsl.Dataset],
    features: dsl.Input[dsl.Dataset],
    entities: dsl.Input[dsl.Dataset],
    bundle: dsl.Output[dsl.Model],
    scored: dsl.Output[dsl.Dataset],
    report: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    candidates: str = "",
    tune_trials: int = 0,
    tune_sampler: str = "tpe",
    resample: str = "none",
    class_weight: str = "none",
) -> None:
    """Compares the candidates on folds of the development rows, and bundles the chosen one as a single graph."""
    from components.reporting import reported

    with reported():
        from pathlib import Path

        from churn.domain.contract import load
        from churn.stores.settings import Settings
        from components.files import write_json
        from components.train.options import options
        from components.train.step import Artifacts, train

        trained = train(
            Settings.load(),
            load(Path(contract.path)),
            Artifacts(
                entities=Path(entities.path),
                features=features.uri,
                snapshot=snapshot.metadata["digest"],
                bundle=Path(bundle.path),
                scored=Path(scored.path),
                logged=features.metadata.get("logged", False),
            ),
            options(candidates, tune_trials, tune_sampler, resample, class_weight),
        )
        write_json(report.path, trained)
        bundle.metadata.update(digest=trained.digest, candidate=trained.candidate, run=trained.run)
        for name, value in trained.cv.items():
            metrics.log_metric(f"cv_{name}", value)
