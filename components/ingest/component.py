"""Ingest, as a Kubeflow Pipelines component."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("data-processing"), install_kfp_package=False)
def ingest(
    data: str,
    snapshot: dsl.Output[dsl.Dataset],
    contract_file: dsl.Output[dsl.Artifact],
    contract: str = "telco",
    model: str = "",
    as_of: str = "",
) -> None:
    """Stores the table as an immutable snapshot, and resolves the contract for the steps that follow."""
    from components.reporting import reported

    with reported():
        from pathlib import Path

        from churn.stores.settings import Settings
        from components.ingest.step import ingest

        done = ingest(Settings.load(), data, contract, model, as_of)
        Path(contract_file.path).parent.mkdir(parents=True, exist_ok=True)
        Path(contract_file.path).write_text(done.contract.to_yaml(), encoding="utf-8")
        contract_file.metadata.update(name=done.contract.name, digest=done.contract.digest)
        snapshot.uri = done.address
        snapshot.metadata.update(digest=done.digest, rows=done.rows, source=done.source, as_of=done.as_of)
