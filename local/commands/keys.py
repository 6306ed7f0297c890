"""`churn keys`: who may ask the predictor."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from local import screen
from local.commands.options import AsJson

app = typer.Typer(help="API keys of the predictor.", no_args_is_help=True)

File = Annotated[
    str, typer.Option("--file", help="The keys file (.yaml or .json); CHURN_API_KEYS, or keys.yaml in the home.")
]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who will use it; shown in metrics and in the audit.")],
    scope: Annotated[list[str], typer.Option(help="predict, explain or admin; give it several times.")],
    rate: Annotated[str, typer.Option(help="Rows it may ask for: 100/s, 6000/m, 100000/h.")] = "",
    network: Annotated[list[str] | None, typer.Option(help="Where it may be used from (CIDR); everywhere.")] = None,
    expires: Annotated[str, typer.Option(help="The last day, or a time (ISO 8601, UTC); never.")] = "",
    bulk: Annotated[bool, typer.Option("--bulk", help="Reading many customers is what it is for.")] = False,
    file: File = "",
    as_json: AsJson = False,
) -> None:
    """Make a key, and print it this once: only its hash is kept."""
    from local import keys

    wanted = keys.Wanted(name, scope, rate, network or [], expires, bulk)
    made = keys.create(_file(file), wanted)
    if as_json:
        screen.document(made)
        return
    screen.out.print(made.key, soft_wrap=True)
    screen.tell(f"This is {made.name}'s key, shown only now; its hash is in {made.file}.")
    screen.tell("Send it as X-API-Key, or as Authorization: Bearer. Servers that follow the file know it in a second.")
    if not os.environ.get("CHURN_API_KEYS"):
        screen.tell(f"For a server to ask for keys, start it with CHURN_API_KEYS={made.file}")


@app.command("list")
def list_(file: File = "", as_json: AsJson = False) -> None:
    """The keys there are, without their hashes."""
    from local import keys

    found = keys.listed(_file(file))
    if as_json:
        screen.document(keys.shown(found))
    else:
        screen.out.print(keys.table(found))


@app.command()
def revoke(
    which: Annotated[str, typer.Argument(help="The key's id, or its name when only one has it.")], file: File = ""
) -> None:
    """Take a key out of the file; servers refuse it within a second or two."""
    from local import keys

    path = _file(file)
    gone = keys.revoke(path, which)
    screen.tell(f"{gone.id} of {gone.name} is revoked in {path}.")


def _file(given: str) -> Path:
    from churn.stores.settings import Settings
    from local import keys

    return Path(given).expanduser().absolute() if given else keys.default_file(dict(os.environ), Settings.load().home)
