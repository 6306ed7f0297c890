"""`churn pipeline`: the pipelines as files for a cluster, and when they run there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from local import screen
from local.commands.options import AsJson

app = typer.Typer(help="The pipelines as files, and when they run in a cluster.", no_args_is_help=True)


@app.callback()
def pipeline() -> None:
    """The pipelines as files, and when they run in a cluster."""


@app.command("compile")
def compile_(out: Annotated[Path, typer.Option(help="The folder to write to.")]) -> None:
    """Write each pipeline as a KFP package, and as Pipeline and PipelineVersion resources for kubectl or Argo CD.

    The same code gives the same bytes. CHURN_IMAGE_REGISTRY and CHURN_IMAGE_TAG choose the images."""
    from local import packages

    for path in packages.write(out):
        screen.out.print(str(path), markup=False)


@app.command()
def schedule(
    file: Annotated[
        Path | None, typer.Option(help="The declared schedules; pipelines/schedules.yaml by default.")
    ] = None,
    host: Annotated[
        str,
        typer.Option(help="KFP's API, like http://localhost:8888; KF_PIPELINES_ENDPOINT by default."),
    ] = "",
    namespace: Annotated[str, typer.Option(help="The namespace, in a KFP that several users share.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the schedules in Kubeflow Pipelines to what is declared: create, replace, disable.

    The same again changes nothing. What is declared no more is disabled, not deleted; schedules that are not of the
    declared owner are left alone. Pipelines are uploaded where this version of them is not there yet;
    CHURN_IMAGE_REGISTRY and CHURN_IMAGE_TAG choose their images."""
    from local import packages
    from local.schedules import declaration, reconciliation
    from local.schedules.client import Client, address

    declared = declaration.read(file or declaration.DEFAULT, packages.pipelines())
    done = reconciliation.reconcile(declared, Client(address(host), namespace), dry_run=dry_run)
    if as_json:
        screen.document(done)
    else:
        reconciliation.show(done)
