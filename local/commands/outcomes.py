"""`churn outcomes`: what became of customers, so that predictions can be judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from local import screen
from local.commands.options import AsJson, AsOf, ModelName

if TYPE_CHECKING:
    from local.outcomes import Report

app = typer.Typer(help="What became of customers.", no_args_is_help=True)


@app.callback()
def outcomes() -> None:
    """What became of customers."""


@app.command()
def load(
    file: Annotated[str, typer.Argument(help="The table: a CSV or Parquet file, s3://…, or postgresql://….")],
    contract: Annotated[
        str,
        typer.Option(
            "--contract",
            help="A contract's file, or the name of one in feature_repo/contracts; that of the champion of --model, or "
            "telco, by default.",
        ),
    ] = "",
    model: ModelName = "",
    as_of: AsOf = "",
    as_json: AsJson = False,
) -> None:
    """Load outcomes: who has left and when, and until when that is known.

    Columns: the customer's key; known_until (or outcome_date); and left_at, empty for who has not left, or the
    contract's target: then a leaver has left by that time, and predictions are judged where it does not matter when
    (load outcomes often, or dates, to have more of them judged). The same file again changes nothing; what is known for
    longer replaces what was said before, which is kept in a history. Rows that cannot be are set aside and counted."""
    from local import outcomes

    done = outcomes.load(file, contract, model, as_of)
    if done.loaded.customers and done.loaded.unknown == done.loaded.customers:
        screen.tell("warning: nobody of this table is in the prediction log: is --model the one that answered them?")
    if as_json:
        screen.document(done)
    else:
        _show(done)


def _show(done: Report) -> None:
    loaded = done.loaded
    screen.out.print(
        f"{loaded.customers:,} customers in {done.rows:,} rows: {loaded.new:,} new, {loaded.changed:,} changed, "
        f"{loaded.same:,} known already, {loaded.late:,} older than what is known, {loaded.erased:,} erased"
    )
    if 0 < loaded.unknown < loaded.customers:
        screen.tell(f"no prediction was logged for {loaded.unknown:,} of them; their outcomes are kept")
    for problem, count in done.set_aside.items():
        screen.tell(f"set aside: {count:,} rows; the first is row {done.first[problem]:,}, which {problem}")
