"""`churn models`: the registry, for people."""

from __future__ import annotations

from typing import Annotated

import typer

from local import screen
from local.commands.options import AsJson

app = typer.Typer(help="Registered models.", no_args_is_help=True)

Model = Annotated[str, typer.Argument(help="The model's name.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Every registered version of every model, and which one serves."""
    from local import models

    found = models.versions()
    if as_json:
        screen.document(found)
    else:
        screen.out.print(models.table(found))


@app.command()
def show(
    model: Model, version: Annotated[int, typer.Argument(help="The version; the champion by default.")] = 0
) -> None:
    """One version as JSON: where it comes from, what it reached, what serves now."""
    from local import models

    screen.document(models.show(model, version))


@app.command()
def compare(
    model: Model,
    first: Annotated[int, typer.Argument(help="A version.")],
    second: Annotated[int, typer.Argument(help="Another version.")],
    as_json: AsJson = False,
) -> None:
    """Two versions' metrics side by side."""
    from local import models

    found = models.compare(model, first, second)
    if as_json:
        screen.document(found)
    else:
        screen.out.print(models.comparison(found, first, second))


@app.command()
def retrainings(model: Model, as_json: AsJson = False) -> None:
    """What each retraining run decided about a model, why, and what came of it; the newest first."""
    from local import models

    found = models.retrainings(model)
    if as_json:
        screen.document(found)
    else:
        screen.out.print(models.decisions(found))
