"""`churn predict`: ask a predictor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from churn.domain.errors import UserError
from local import screen


def predict(
    customer_id: Annotated[
        list[str] | None, typer.Option(help="A customer the online store knows; may be repeated.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="A file with one instance (an object), or a list of them.")] = None,
    model: Annotated[str, typer.Option(help="Which model.")] = "telco",
    explain: Annotated[bool, typer.Option("--explain", help="With the reasons for each answer.")] = False,
    url: Annotated[str, typer.Option(help="Where the predictor answers over HTTP.")] = "http://127.0.0.1:8080",
) -> None:
    """Ask a running predictor (`churn serve`) who will leave. Prints its answers as JSON."""
    from local import client

    if bool(customer_id) == bool(json):
        raise UserError("give either --customer-id or --json")
    instances = client.read_instances(json) if json else [{"customer_id": one} for one in customer_id or []]
    screen.document(client.predict_http(url, model, instances, explain=explain))
