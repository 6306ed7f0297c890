"""`churn pipeline`: the pipelines as files for a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from local import screen

app = typer.Typer(help="The pipelines as files.", no_args_is_help=True)


@app.callback()
def pipeline() -> None:
    """The pipelines as files."""


@app.command("compile")
def compile_(out: Annotated[Path, typer.Option(help="The folder to write to.")]) -> None:
    """Write each pipeline as a KFP package, and as Pipeline and PipelineVersion resources for kubectl or Argo CD.

    The same code gives the same bytes. CHURN_IMAGE_REGISTRY and CHURN_IMAGE_TAG choose the images."""
    from local import packages

    for path in packages.write(out):
        screen.out.print(str(path), markup=False)
