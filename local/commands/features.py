"""`churn features`: Feast, for people."""

from __future__ import annotations

from typing import Annotated

import typer

from local import screen
from local.commands.options import AsJson, AsOf, ContractName, ModelName

app = typer.Typer(help="Features in Feast: register, materialise, look up.", no_args_is_help=True)


@app.command()
def apply(
    source: Annotated[
        str, typer.Option(help="Folder or s3:// address of the features; what is registered, by default.")
    ] = "",
    contract: ContractName = "telco",
    model: ModelName = "",
) -> None:
    """Register a contract's entity, views and service. Touches nothing that serves."""
    from local import features

    screen.out.print(features.apply(contract, model, source), markup=False)


@app.command()
def materialize(
    contract: ContractName = "telco", model: ModelName = "", as_of: AsOf = "", as_json: AsJson = False
) -> None:
    """Fill the online store with each customer's latest values; newer ones are kept."""
    from local import features

    done = features.materialise(contract, model, as_of)
    if as_json:
        screen.document(done)
    else:
        screen.out.print(f"{done.written:,} customers written, {done.kept:,} kept because they are newer")


@app.command()
def get(
    customer_id: Annotated[list[str], typer.Option(help="A customer; may be repeated.")],
    contract: ContractName = "telco",
    model: ModelName = "",
) -> None:
    """Print what the online store holds of a customer, as JSON."""
    from local import features

    screen.document(features.get(contract, model, customer_id))
