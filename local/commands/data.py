"""`churn data`: synthetic customers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from local import screen
from local.commands.options import AsJson

app = typer.Typer(help="Synthetic telco customers.", no_args_is_help=True)


@app.callback()
def data() -> None:
    """Synthetic telco customers."""


@app.command()
def generate(
    out: Annotated[Path, typer.Option(help="The file to write; .csv or .parquet.")],
    customers: Annotated[int, typer.Option(help="How many customers.")] = 7043,
    months: Annotated[int, typer.Option(help="Monthly snapshots; 1 looks like the IBM sample, without dates.")] = 1,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 1,
    drift: Annotated[
        str,
        typer.Option(help="What changes, from which month: like tenure+0.3@6, Contract=One year+0.1@6, price-rise@5."),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Write a customer table, with labels 30 days later.

    The same arguments always give the same file. Memory stays bounded, however many customers there are."""
    from churn.domain.synthetic.generation import generate

    report = generate(customers, months, seed, out, drift or None)
    if as_json:
        screen.document(report)
    else:
        screen.out.print(f"{report.rows:,} rows in {out}, {report.churned:,} of them leave")


@app.command()
def migrate() -> None:
    """Create or upgrade the tables in CHURN_DATABASE: the customers that a training run can read from PostgreSQL.

    Fill `customers`, then: churn run training --data database://#customers"""
    from churn.stores.addresses import redacted
    from churn.stores.database import migrate
    from churn.stores.settings import Settings

    settings = Settings.load().prepare()
    migrate(settings.database)
    screen.out.print(f"{redacted(settings.database)} is up to date", markup=False)
