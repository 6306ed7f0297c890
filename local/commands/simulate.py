"""`churn simulate`: a year of the whole loop."""

from __future__ import annotations

from typing import Annotated

import typer

from local import screen
from local.commands.options import AsJson


def simulate(
    scenario: Annotated[
        str, typer.Option(help="quiet, price-rise, new-competitor, data-bug, or as in `churn data generate --drift`.")
    ] = "price-rise",
    months: Annotated[int, typer.Option(help="How many months the year has.")] = 12,
    seed: Annotated[int, typer.Option(help="The same seed gives the same year.")] = 1,
    customers: Annotated[int, typer.Option(help="Customers at any time.")] = 5_000,
    out: Annotated[str, typer.Option(help="A new folder; by default one in simulations of CHURN_HOME.")] = "",
    executor: Annotated[
        str, typer.Option(help="kfp, or direct: the same steps one after another in this process.")
    ] = "kfp",
    as_json: AsJson = False,
) -> None:
    """Live through a year: predictions, outcomes that come later, monitoring, retraining, all on simulated dates.

    A home of its own is made in the folder, beside a table in JSON, a picture and a page: what never retraining,
    retraining each month blindly, and this system are worth on the same customers."""
    from local.simulation import documents, report, run
    from local.simulation.request import Request

    asked = Request.parse(scenario, months=months, seed=seed, customers=customers, out=out, executor=executor)
    done = documents.written(run.run(asked, (lambda _: None) if as_json else report.tell), asked.out)
    if as_json:
        screen.document(done)
    else:
        report.show(done)
