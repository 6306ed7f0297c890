"""`churn demo`: everything once."""

from __future__ import annotations

from typing import Annotated

import typer

from local import screen
from local.commands.options import AsJson


def demo(
    customers: Annotated[int, typer.Option(help="How many customers to generate.")] = 7043,
    as_json: AsJson = False,
) -> None:
    """Generate customers, train, promote, serve, and ask for a prediction: the whole system in about a minute."""
    from local import demo

    done = demo.run(customers, quiet=as_json)
    if as_json:
        screen.document(done)
    else:
        demo.show(done)
