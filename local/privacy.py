"""What people may ask about a customer: hand out all that is held, erase it; and archive what has become old."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from churn.domain.contract import Contract
from churn.domain.errors import UserError
from churn.stores import files, objects
from churn.stores.prediction_log.pseudonyms import Pseudonyms
from churn.stores.privacy.contracts import trained_under
from churn.stores.privacy.customer import Customer, counting
from churn.stores.privacy.database import CustomerTable, LoggedPredictions, ScoreTable, names_by, names_customers
from churn.stores.privacy.folders import Copies, StepFiles, sources
from churn.stores.privacy.ledger import Act, Erasure, Ledger
from churn.stores.privacy.months import months
from churn.stores.privacy.outcomes import LoadedOutcomes
from churn.stores.privacy.places import Held, Place
from churn.stores.privacy.retention import Archive, Retained, retain
from churn.stores.privacy.spooled import SpooledPredictions
from churn.stores.privacy.stored import StoredTables
from churn.stores.privacy.tables import Search
from churn.stores.privacy.turns import turn
from churn.stores.settings import Settings
from components.close_batch.forgetting import PublishedScores
from feature_repo import contracts as carried
from feature_repo.forgetting.store import OnlineStore
from serving.settings import ServingSettings


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """What an erasure did, or with `dry_run` would do. `customer` is the pseudonym in the ledger.

    `left` still held the customer afterwards: something is at work that must end first. `unsearched` holds tables in
    which nobody can be found by an id, and `yours` what only its owner may change."""

    customer: str
    dry_run: bool
    erased: list[Held]
    left: list[Held]
    unsearched: list[Held]
    yours: list[Held]

    @property
    def rows(self) -> int:
        """Rows of the customer, in all places."""
        return sum(held.rows for held in self.erased)


class Exported(msgspec.Struct, frozen=True):
    """Where an export lies, and how many rows each place gave; none when nothing is held.

    `unsearched` holds what nobody can be found in by an id."""

    folder: str
    rows: dict[str, int]
    unsearched: list[Held] = []


class Desk:
    """The places of one home, asked about one customer."""

    def __init__(self, given: str, more_contracts: Sequence[str], by: str, *, record: bool) -> None:
        """`record` makes the key of pseudonyms where there is none, as the ledger needs. Raises UserError."""
        settings = Settings.load().prepare()
        serving = ServingSettings.load(os.environ, settings)
        self.settings = settings
        names = _pseudonyms(settings, serving.log_key, make=record)
        known = _contracts(settings, more_contracts)
        self.customer = Customer(given, names, counts=bool(counting(known)))
        self.search = Search(self.customer, known)
        self.ledger = Ledger(
            objects.open_store(settings), Act(self.customer.alias, by or getpass.getuser(), datetime.now(UTC))
        )
        published = PublishedScores(settings, self.search)
        # The log first, since from then on it lets no more of the customer in, the spool behind it; the online store
        # behind the files that it is filled from. Published scores behind the store in which a batch has its shards:
        # without them, no run publishes any more what it scored before.
        self.places: list[Place] = [
            CustomerTable(settings.database, self.customer, known),
            LoggedPredictions(settings.database, self.customer),
            SpooledPredictions(serving.spool, settings.database, self.customer),
            LoadedOutcomes(settings.database, self.customer),
            StoredTables(settings, self.search, self.ledger, published.others),
            published,
            ScoreTable(settings.database, self.customer, known),
            StepFiles(settings, self.search, self.ledger),
            Copies(settings, self.search),
            OnlineStore(settings, self.customer, known),
        ]


def erase(
    given: str,
    more_contracts: Sequence[str] = (),
    by: str = "",
    *,
    dry_run: bool = False,
    say: Callable[[str], None] | None = None,
) -> Erased:
    """Erases a customer everywhere, or says what that would be. Again and again it is no harm, nor after a kill.

    Raises UserError when a place cannot be reached; what was erased until then is."""
    with turn(Settings.load().prepare()):
        desk = Desk(given, more_contracts, by, record=not dry_run)
        if not dry_run and (log := months(desk.settings.database)) is not None:
            Archive(desk.settings, log).settle()
        found: list[Held] = []
        for place in desk.places:
            if say:
                say(f"{place.name} …")
            found += place.find() if dry_run else place.erase()
        left = [] if dry_run else [held for place in desk.places for held in place.find() if held.rows]
        done = Erased(
            customer=desk.customer.alias,
            dry_run=dry_run,
            erased=[held for held in found if held.rows or not held.note],
            left=left,
            unsearched=_unsearched(found),
            yours=list(sources(desk.settings, desk.search)),
        )
        if not dry_run:
            desk.ledger.ended(Erasure(desk.ledger.act, datetime.now(UTC), _by_place(done.erased)))
        return done


def export(given: str, out: Path, more_contracts: Sequence[str] = ()) -> Exported:
    """Writes all that is held of a customer to a new folder: `customer.json`, one document by place, with predictions
    and their features by name in it. Nothing is written when nothing is held.

    Raises UserError for a folder that holds something, and when a place cannot be reached."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError("holds something already", where=str(out), remedy="choose another --out")
    with turn(Settings.load().prepare()):
        desk = Desk(given, more_contracts, "", record=False)
        held = {place.name: found for place in desk.places if (found := dict(place.rows()))}
        unsearched = _unsearched(held for place in desk.places for held in place.find())
    counts = {place: sum(len(rows) for rows in found.values()) for place, found in held.items()}
    if not held:
        return Exported("", {}, unsearched)
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    document = {"customer_id": desk.customer.text, "at": datetime.now(UTC), "held": _readable(held)}
    file = out / "customer.json"
    files.write_atomically(file, msgspec.json.format(msgspec.json.encode(document, enc_hook=str), indent=2))
    file.chmod(0o600)
    files.remove(out / ".staging")
    return Exported(str(out), counts, unsearched)


def archive(days: int) -> Retained:
    """Moves predictions older than so many days from the database to the archive."""
    settings = Settings.load().prepare()
    with turn(settings):
        return retain(settings, days)


def table(done: Erased) -> Table:
    """An erasure as a table."""
    shown = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("place", "where", "rows", "would become" if done.dry_run else "became"):
        shown.add_column(name, justify="right" if name == "rows" else "left", overflow="fold")
    for held in done.erased:
        shown.add_row(held.place, held.where, f"{held.rows:,}", held.became)
    return shown


def _pseudonyms(settings: Settings, key: Path, *, make: bool) -> Pseudonyms | None:
    """The names of customers in the log. By another key than theirs an erasure would pass by what it is to erase."""
    named = bool(objects.open_store(settings).list("archive/")) or names_customers(settings.database)
    names = names_by(settings.database, key, named=named)
    return Pseudonyms.load(key) if names is None and make else names


def _contracts(settings: Settings, more: Sequence[str]) -> list[Contract]:
    def found() -> Iterator[Contract]:
        yield from (carried.resolve(settings, address) for address in [*more, *carried.known()])
        yield from trained_under(settings)

    return list({contract.digest: contract for contract in found()}.values())


def _unsearched(found: Iterable[Held]) -> list[Held]:
    return [held for held in found if held.note and not held.rows]


def _by_place(erased: Sequence[Held]) -> dict[str, int]:
    places = dict.fromkeys(held.place for held in erased)
    return {place: sum(held.rows for held in erased if held.place == place) for place in places}


def _readable(value: Any) -> Any:
    """The same for JSON: bytes in hex, which they are told in elsewhere."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(name): _readable(one) for name, one in value.items()}
    return [_readable(one) for one in value] if isinstance(value, list | tuple) else value
