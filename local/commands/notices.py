"""`churn notices`: who is told what has happened."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from churn.domain.errors import UserError
from local import screen
from local.commands.options import AsJson

app = typer.Typer(help="Who is told of drift, failures and promotions.", no_args_is_help=True)


@app.callback()
def notices() -> None:
    """Who is told what has happened; CHURN_NOTICES names the file of channels."""


@app.command("test")
def try_(
    channel: Annotated[str, typer.Option(help="The one to try; all by default.")] = "", as_json: AsJson = False
) -> None:
    """Send each channel a message that says it is a test, and see whether it takes it.

    On PagerDuty the incident is closed again."""
    from local import notices

    tried = notices.try_out(os.environ, channel)
    if as_json:
        screen.document(tried)
    else:
        for one in tried:
            screen.out.print(f"{one.channel} ({one.kind}): {one.problem or 'took it'}", markup=False)
    away = [one.channel for one in tried if one.problem]
    if away and not as_json:
        raise UserError("took no message, or not for all", where=", ".join(away), remedy="see above")
    if away:
        raise typer.Exit(2)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """What was told, to whom, how often it was seen, and what still waits for a channel that is away."""
    from local import notices

    found = notices.told()
    if as_json:
        screen.document(found)
    elif found:
        screen.out.print(notices.table(found))
    else:
        screen.tell("nothing was told yet")
