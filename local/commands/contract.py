"""`churn contract`: one's own table, described."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from local import screen
from local.commands.options import AsJson, ContractName

app = typer.Typer(help="Describe a table: draft a contract, check a table against one.", no_args_is_help=True)

Table = Annotated[Path, typer.Argument(help="A CSV or Parquet file.")]


@app.command()
def draft(
    table: Table,
    target: Annotated[str, typer.Option(help="The column that says who left.")],
    out: Annotated[Path, typer.Option(help="The contract to write.")],
    key: Annotated[str, typer.Option(help="The column that names a customer, where there is one.")] = "",
    positive: Annotated[str, typer.Option(help="The target's value that means: left.")] = "",
    timestamp: Annotated[str, typer.Option(help="The column that dates a row, where there is one.")] = "",
    name: Annotated[str, typer.Option(help="The model's name; the file's by default.")] = "",
) -> None:
    """Draft a contract from a table: types, ranges, categories, cleaning.

    Columns that look like identifiers or like leaks of the outcome are left out, with a comment. Read the draft before
    you train: it knows the values, you know what they mean."""
    from local import drafts

    summary = drafts.write(table, out, target=target, key=key, positive=positive, timestamp=timestamp, name=name)
    screen.out.print(summary, markup=False)


@app.command()
def check(table: Table, contract: ContractName = "telco", as_json: AsJson = False) -> None:
    """Check a table against a contract, as the first two steps of the training pipeline do."""
    from local import drafts

    report = drafts.check(str(table), contract)
    if as_json:
        screen.document(report)
    else:
        screen.out.print(drafts.summary(report), markup=False)
