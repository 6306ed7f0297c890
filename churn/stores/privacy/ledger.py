"""The ledger of erasures, in the object store: what was rewritten as what, and who had whom erased. Never an id.

`ledger/moved/<old digest>/to-<new digest>.json` is written before the old content goes; by it, an address that somebody
still holds (Feast's registry, a run's record, a bundle's provenance) leads to what has taken its content's place."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from churn.stores import objects
from churn.stores.addresses import is_s3
from churn.stores.digests import digest_in
from churn.stores.errors import ConflictError
from churn.stores.objects import ObjectStore
from churn.stores.settings import Settings

FOLDER = "ledger"


class Act(msgspec.Struct, frozen=True):
    """On whose account something is erased: the customer's pseudonym (hex), who asked for it, and when."""

    customer: str
    by: str
    at: datetime


class Moved(msgspec.Struct, frozen=True):
    """`rows` rows were left out of `source`, and the rest is `target`: keys of the object store, or paths in the home
    where `in_home`, which the file keeps."""

    source: str
    target: str
    rows: int
    act: Act
    in_home: bool = False


class Erasure(msgspec.Struct, frozen=True):
    """An erasure that has come to its end, and how many rows of which place it erased."""

    act: Act
    ended: datetime
    places: dict[str, int]


class Ledger:
    """Writes acts into a store."""

    def __init__(self, store: ObjectStore, act: Act) -> None:
        self.act = act
        self._store = store

    def moved(self, old: str, new: str, entry: Moved) -> None:
        """Says, for good, that the content of digest `old` is now that of digest `new`."""
        with suppress(ConflictError):  # an erasure that was killed, or another customer's, has said so before
            self._put(f"{FOLDER}/moved/{old}/to-{new}.json", entry)

    def ended(self, entry: Erasure) -> None:
        """Says that an erasure is complete."""
        stamp = f"{entry.act.at:%Y%m%dT%H%M%S%f}"
        self._put(f"{FOLDER}/erasures/{stamp}-{entry.act.customer[:12]}.json", entry)

    def _put(self, key: str, entry: Any) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "entry.json")
            file.write_bytes(msgspec.json.format(msgspec.json.encode(entry), indent=2))
            self._store.put_file(file, key)


def current(settings: Settings, address: str) -> str:
    """Where the content of an address of the object store lies now; the address itself when nothing is known of it."""
    store = objects.open_store(settings)
    while (after := _after(store, address)) is not None:
        address = after
        if store.exists(address):
            break
    return address


def key_of(store: ObjectStore, address: str) -> str | None:
    """The key of an address below the store's root; None for one that lies elsewhere."""
    if is_s3(store.root) or is_s3(address):
        return address.removeprefix(f"{store.root}/") if address.startswith(f"{store.root}/") else None
    root = Path(store.root)
    return Path(address).relative_to(root).as_posix() if Path(address).is_relative_to(root) else None


def split(key: str) -> tuple[str, str, str] | None:
    """The first part of a key that carries a digest, with all before it; the digest; what follows. None without one."""
    parts = PurePosixPath(key).parts
    for place, part in enumerate(parts):
        digest = digest_in(part)
        if digest:
            return "/".join(parts[: place + 1]), digest, "/".join(parts[place + 1 :])
    return None


def _after(store: ObjectStore, address: str) -> str | None:
    key = key_of(store, address)
    found = split(key) if key else None
    if found is None:
        return None
    entries = [
        msgspec.json.decode(store.fetch(entry).read_bytes(), type=Moved)
        for entry in store.list(f"{FOLDER}/moved/{found[1]}/")
    ]
    entries = [entry for entry in entries if not entry.in_home]
    if not entries:
        return None
    target = store.address(max(entries, key=lambda entry: entry.act.at).target)
    return f"{target}/{found[2]}" if found[2] else target
