"""Validate, as a Kubeflow Pipelines component."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("data-processing"), install_kfp_package=False)
def validate(
    contract: dsl.Input[dsl.Artifact],
    snapshot: dsl.Input[dsl.Dataset],
    valid: dsl.Output[dsl.Dataset],
    quarantine: dsl.Output[dsl.Dataset],
    report: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
) -> None:
    """Sets aside the rows that break the contract, and refuses a table in which too many do."""
    from components.reporting import reported

    with reported():
        from pathlib import Path

        from churn.domain.contract import load
        from churn.stores import objects
        from churn.stores.settings import Settings
        from components.files import write_json
        from components.validate import verdict
        from components.validate.report import page as rendered
        from components.validate.step import Table, examine

        terms = load(Path(contract.path))
        path = objects.fetch(Settings.load().prepare(), snapshot.uri)
        table = Table(path, snapshot.metadata["source"], snapshot.metadata["as_of"])
        seen = examine(terms, table, Path(valid.path), Path(quarantine.path))
        write_json(report.path, seen)
        Path(page.path).parent.mkdir(parents=True, exist_ok=True)
        Path(page.path).write_text(rendered(seen), encoding="utf-8")
        valid.metadata.update(rows=seen.valid)
        quarantine.metadata.update(rows=seen.quarantined)
        verdict.refuse(terms, seen)
