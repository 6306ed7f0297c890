"""Where scores have been published: an erasure must find them, and nobody else remembers what --out was."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import msgspec

from churn.stores import objects
from churn.stores.objects import ObjectStore
from churn.stores.privacy.ledger import FOLDER, key_of
from churn.stores.settings import Settings

SCORES = "scores"
"""Where they lie in the object store, a folder a model, unless they are asked for elsewhere."""

_PLACES = f"{FOLDER}/published"


class _Published(msgspec.Struct, frozen=True):
    address: str


def remember(store: ObjectStore, out: str) -> None:
    """Says, for good, that scores are published below `out`; before the first of them is."""
    name = hashlib.sha256(out.encode()).hexdigest()[:32]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "entry.json")
        file.write_bytes(msgspec.json.encode(_Published(out)))
        store.put_file(file, f"{_PLACES}/{name}.json")


def places(settings: Settings) -> list[str]:
    """The folders and s3:// addresses below which scores have been published, in order."""
    store = objects.open_store(settings)
    entries = (store.fetch(address).read_bytes() for address in store.list(f"{_PLACES}/"))
    found = {msgspec.json.decode(entry, type=_Published).address for entry in entries}
    keys = (key_of(store, address) or "" for address in store.list(f"{SCORES}/"))
    models = {parts[1] for key in keys if len(parts := key.split("/")) > 2}
    return sorted(found | {store.address(f"{SCORES}/{model}") for model in models})
