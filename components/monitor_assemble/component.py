"""Assemble what monitoring looks at, as a Kubeflow Pipelines component."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("data-processing"), install_kfp_package=False)
def monitor_assemble(
    model: str,
    contract: dsl.Output[dsl.Artifact],
    reference: dsl.Output[dsl.Dataset],
    window: dsl.Output[dsl.Dataset],
    predictions: dsl.Output[dsl.Dataset],
    facts: dsl.Output[dsl.Artifact],
    as_of: str = "",
    days: int = 30,
    known_days: int = 0,
) -> None:
    """The champion's reference, a sample of what was logged in `days` days, and predictions with their outcomes.

    The latter are of half a year, or of `known_days` before the newest that can be known where those are more."""
    from components.reporting import reported

    with reported():
        import os
        from pathlib import Path

        from churn.stores.settings import Settings
        from components.monitor_assemble.bounds import bounds
        from components.monitor_assemble.step import Asked, Files, assemble
        from components.monitor_assemble.times import moment

        asked = Asked(model=model, as_of=moment(as_of), days=days, known_days=known_days, bounds=bounds(os.environ))
        found = assemble(
            Settings.load().prepare(),
            asked,
            Files(*(Path(one.path) for one in (contract, reference, window, predictions, facts))),
        )
        contract.metadata.update(name=found.model, digest=found.contract)
        window.metadata.update(rows=found.rows, since=found.since.isoformat(), as_of=found.as_of.isoformat())
