"""Tables in the object store: snapshots, features, archived predictions. What holds the customer gets a new digest."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import msgspec

from churn.stores import files, objects
from churn.stores.digests import digest_of_folder, sha256_of_file
from churn.stores.objects import ObjectStore
from churn.stores.privacy import tables
from churn.stores.privacy.ledger import FOLDER, Ledger, Moved, key_of, split
from churn.stores.privacy.places import Held
from churn.stores.privacy.tables import Finder, Form, Lack, Search
from churn.stores.settings import Settings

ARCHIVE = "archive"
"""Where archived predictions lie in the store."""

_TABLES = (".parquet", ".pq", ".csv")
_WITHOUT_KEYS = ("bundles", FOLDER)
_SNAPSHOTS, _BATCHES = "snapshots", "batch"


class _Unit(NamedTuple):
    """What has a digest of its own: a file, or a folder with its files; `names` are relative to it, "" for itself."""

    key: str
    digest: str
    names: list[str]


class StoredTables:
    """The object store, whatever it lies on. Fetched content is read in a scratch folder and not kept.

    Of all addresses, `ours` gives those that no other place sees to: what is published is not for this to rename."""

    name = "object store"

    def __init__(
        self, settings: Settings, search: Search, ledger: Ledger, ours: Callable[[Sequence[str]], Sequence[str]]
    ) -> None:
        self._settings, self._search, self._ledger, self._ours = settings, search, ledger, ours

    def find(self) -> Iterator[Held]:
        """Objects with the customer's rows; and, with none, those that cannot be searched."""
        for unit in (*self._units(), *self._loose()):
            with self._local(unit) as local:
                found, lack = self._count(unit, local)
            if found or lack:
                yield Held(self.name, unit.key, found, note=lack)

    def erase(self) -> Iterator[Held]:
        """Stores each anew under its new digest, says so in the ledger, and then deletes the old one."""
        store = objects.open_store(self._settings)
        for unit in self._units():
            if not store.exists(store.address(unit.key)):
                if unit.names != [""]:  # a folder whose upload was killed: nobody can read it
                    store.delete(store.address(unit.key))
                    yield Held(self.name, unit.key, 0, note="an upload that did not end, deleted")
                continue
            with self._local(unit) as local:
                found, lack = self._count(unit, local)
                became = self._removed(store, unit, local) if found else ""
            if found or lack:
                yield Held(self.name, unit.key, found, became, lack)

    def rows(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """The customer's rows by file."""
        for unit in (*self._units(), *self._loose()):
            with self._local(unit) as local:
                for name, path in local.items():
                    finder = self._finder(unit, path)
                    if isinstance(finder, Finder) and (found := tables.rows(path, finder)):
                        yield _joined(unit.key, name), found

    def _units(self) -> Iterator[_Unit]:
        """What carries a digest and may hold a table, as listed once."""
        found = [parts for key in self._keys() if (parts := split(key))]
        for (key, digest), group in groupby(found, lambda parts: parts[:2]):
            yield _Unit(key, digest, [parts[2] for parts in group])

    def _loose(self) -> Iterator[_Unit]:
        """Tables that somebody else has put there, under names of their own: looked at, and left to them."""
        yield from (_Unit(key, "", [""]) for key in self._keys() if split(key) is None)

    def _keys(self) -> list[str]:
        store = objects.open_store(self._settings)
        found = (key_of(store, address) for address in self._ours(store.list()))
        keys = [key for key in found if key]
        return [key for key in keys if key.endswith(_TABLES) and PurePosixPath(key).parts[0] not in _WITHOUT_KEYS]

    @contextmanager
    def _local(self, unit: _Unit) -> Iterator[dict[str, Path]]:
        """The unit's files by name, to read; none where somebody else has deleted it since it was listed."""
        with files.staged(scratch_folder(self._settings)) as scratch:
            # What is fetched from S3 is cached in the home, for good: not what is fetched to be erased.
            store = objects.open_store(msgspec.structs.replace(self._settings, home=scratch), self._settings.objects)
            addresses = {name: store.address(_joined(unit.key, name)) for name in unit.names}
            yield {name: store.fetch(address) for name, address in addresses.items() if store.exists(address)}

    def _count(self, unit: _Unit, local: dict[str, Path]) -> tuple[int, str]:
        found, lacks = 0, set[str]()
        for path in local.values():
            finder = self._finder(unit, path)
            if isinstance(finder, Finder):
                found += tables.count(path, finder)
            else:
                lacks.add(finder.value)
        return found, "; ".join(sorted(lacks))

    def _finder(self, unit: _Unit, path: Path) -> Finder | Lack:
        kind = PurePosixPath(unit.key).parts[0]
        if kind == ARCHIVE:
            return self._search.logged()
        return self._search.finder(path, Form.SOURCE if kind == _SNAPSHOTS else Form.OWN)

    def _removed(self, store: ObjectStore, unit: _Unit, local: dict[str, Path]) -> str:
        if PurePosixPath(unit.key).parts[0] == _BATCHES:
            store.delete(store.address(str(PurePosixPath(unit.key).parent)))  # the batch scores them anew
            return ""
        return self._rewrite(store, unit, local)

    def _rewrite(self, store: ObjectStore, unit: _Unit, local: dict[str, Path]) -> str:
        with files.staged(scratch_folder(self._settings)) as fresh:
            fresh.mkdir()
            gone = sum(self._without(unit, path, fresh / (name or "file")) for name, path in local.items())
            parent = str(PurePosixPath(unit.key).parent)
            if unit.names == [""]:
                digest = sha256_of_file(fresh / "file")
                key = f"{parent}/{digest}{PurePosixPath(unit.key).suffix}"
                store.put_file(fresh / "file", key)
            else:
                digest = digest_of_folder(fresh)
                key = f"{parent}/{digest}"
                store.put_folder(fresh, key)
        self._ledger.moved(unit.digest, digest, Moved(unit.key, key, gone, self._ledger.act))
        store.delete(store.address(unit.key))
        return key

    def _without(self, unit: _Unit, path: Path, target: Path) -> int:
        target.parent.mkdir(parents=True, exist_ok=True)
        finder = self._finder(unit, path)
        if isinstance(finder, Finder):
            return tables.rewrite(path, target, finder)
        shutil.copyfile(path, target)
        return 0


def scratch_folder(settings: Settings) -> Path:
    """Where files are staged by whoever has the turn; what lies there when a turn begins is a killed process's."""
    return settings.home / ".privacy"


def _joined(key: str, name: str) -> str:
    return f"{key}/{name}" if name else key
