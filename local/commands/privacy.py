"""`churn privacy`: a customer's rights, and how long predictions are kept."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from local import screen
from local.commands.options import AsJson

if TYPE_CHECKING:
    from churn.stores.privacy.places import Held
    from local.privacy import Erased

app = typer.Typer(help="A customer's data: export, erase; old predictions: archive.", no_args_is_help=True)

CustomerId = Annotated[
    str, typer.Option(help="The customer; - reads the id from stdin, so that no shell keeps it.", show_default=False)
]
Contracts = Annotated[
    list[str] | None,
    typer.Option("--contract", help="A contract by which tables can be read, beside those known; repeatable."),
]


@app.command()
def erase(
    customer_id: CustomerId,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; change nothing.")] = False,
    contract: Contracts = None,
    by: Annotated[str, typer.Option(help="Who asks for it, for the ledger; the user by default.")] = "",
    as_json: AsJson = False,
) -> None:
    """Erase a customer: in databases, online store, prediction log and archive, published scores, and every table.

    A table that holds the customer is written anew without them under a new digest, and the ledger, which knows a
    pseudonym alone, leads from the old one there; scores are published anew. It may be killed, and repeated. A training
    that is under way may bring the customer back: run it again when it has ended. Exit 1 says what is left."""
    from local import privacy

    done = privacy.erase(_id(customer_id), contract or (), by, dry_run=dry_run, say=None if as_json else screen.tell)
    if as_json:
        screen.document(done)
    else:
        _show(done)
    if done.left:
        raise typer.Exit(1)


@app.command()
def export(
    customer_id: CustomerId,
    out: Annotated[Path, typer.Option(help="The folder to write to; it must be new or empty.")],
    contract: Contracts = None,
    as_json: AsJson = False,
) -> None:
    """Write everything that is held of a customer to a folder, as JSON: rows by place, predictions with features."""
    from local import privacy

    done = privacy.export(_id(customer_id), out, contract or ())
    if as_json:
        screen.document(done)
        return
    if not done.rows:
        screen.out.print("Nothing is held of this customer.")
    else:
        counts = ", ".join(f"{rows:,} in {place}" for place, rows in done.rows.items())
        screen.out.print(f"{done.folder}: {counts}", markup=False)
    _tell_unsearched(done.unsearched)


@app.command()
def retain(
    days: Annotated[int, typer.Option(help="Predictions older than so many days leave the database.", min=1)] = 90,
    as_json: AsJson = False,
) -> None:
    """Move old predictions to Parquet in the object store, and make the database's months to come. Run it daily."""
    from local import privacy

    done = privacy.archive(days)
    if as_json:
        screen.document(done)
        return
    rows = sum(file.rows for file in done.files)
    screen.out.print(f"{rows:,} predictions of before {done.before:%Y-%m-%d} archived in {len(done.files)} files")
    for file in done.files:
        screen.out.print(f"  {file.rows:,} of {file.month}: {file.key}", markup=False)


def _show(done: Erased) -> None:
    from local import privacy

    if done.erased:
        screen.out.print(privacy.table(done))
    verb = "would be erased" if done.dry_run else "erased"
    screen.out.print(f"{done.rows:,} rows {verb}." if done.rows else "Nothing is held of this customer.")
    for held in done.left:
        screen.tell(f"still there: {held.rows:,} in {held.place}, {held.where}: run again when nothing works on it")
    for held in done.yours:
        screen.tell(f"yours: {held.where} holds {held.rows:,}; {held.note}")
    _tell_unsearched(done.unsearched)


def _tell_unsearched(unsearched: Sequence[Held]) -> None:
    for held in unsearched:
        screen.tell(f"not searched: {held.where}: {held.note}")


def _id(given: str) -> str:
    return sys.stdin.readline().strip() if given == "-" else given
