"""Assemble a training set, as a Kubeflow Pipelines component."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("data-processing"), install_kfp_package=False)
def assemble(
    contract: dsl.Input[dsl.Artifact],
    decision: dsl.Input[dsl.Artifact],
    snapshot: dsl.Output[dsl.Dataset],
    valid: dsl.Output[dsl.Dataset],
    quarantine: dsl.Output[dsl.Dataset],
    report: dsl.Output[dsl.Artifact],
    as_of: str = "",
    data: str = "",
) -> None:
    """The newest rows whose outcomes are known, from the prediction log or from a table."""
    from components.reporting import reported

    with reported():
        from pathlib import Path

        from churn.domain.contract import load
        from churn.domain.retraining import Decision
        from churn.stores.settings import Settings
        from components.assemble.step import Files, Wanted, assemble
        from components.files import read_json
        from components.monitor_assemble.times import moment

        wanted = Wanted(load(Path(contract.path)), read_json(decision.path, Decision), moment(as_of), data)
        written = Files(*(Path(one.path) for one in (valid, quarantine, report)))
        done = assemble(Settings.load().prepare(), wanted, written)
        snapshot.uri = done.address
        snapshot.metadata.update(
            digest=done.digest, rows=done.valid, source=done.source, as_of=wanted.as_of.isoformat(), logged=done.logged
        )
