"""Published scores as a place that holds customers.

Parts are written anew under names of their own, then the manifest that names them, and then the old ones go: whoever
reads by the manifest never meets half of it, and what a kill leaves the next erasure finds. It holds the place while it
does so: a run that publishes there is waited for, and one that waits finds its shards gone and refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from churn.domain.errors import UserError
from churn.stores import files
from churn.stores.digests import sha256_of_file
from churn.stores.errors import ConflictError
from churn.stores.privacy import tables
from churn.stores.privacy.places import Held
from churn.stores.privacy.stored import scratch_folder
from churn.stores.privacy.tables import Finder, Form, Lack, Search
from churn.stores.settings import Settings
from components.close_batch import published
from components.close_batch.manifest import Listed, Manifest, encoded
from components.close_batch.place import MANIFEST, Place, open_place
from components.close_batch.summary import COUNTED, Tally, recounted

_TABLE = re.compile(r"(date=\d{4}-\d\d-\d\d/version=\d+/)[^/]+\.parquet")
_AWAY = "scores were published there, and it is not there now: gone, or on another machine"
_DAMAGED = "its manifest cannot be read: run the batch of its date again"
_ATTEMPTS = 3


class _Table(NamedTuple):
    """A file of a partition: its name in the place, a local copy, and how many of its rows are the customer's."""

    name: str
    path: Path
    finder: Finder | Lack
    rows: int

    @property
    def lack(self) -> str:
        return self.finder.value if isinstance(self.finder, Lack) else ""


class PublishedScores:
    """What batch runs have published, wherever that was: scores, and rows that were set aside."""

    name = "published scores"

    def __init__(self, settings: Settings, search: Search) -> None:
        self._settings, self._search = settings, search

    def others(self, addresses: Sequence[str]) -> list[str]:
        """Those that are not a published table's."""
        roots = [f"{root}/" for root in published.places(self._settings)]
        return [
            address
            for address in addresses
            if not any(address.startswith(root) and _TABLE.fullmatch(address.removeprefix(root)) for root in roots)
        ]

    def find(self) -> Iterator[Held]:
        """Tables with the customer's rows; those that cannot be searched, and places that are not there."""
        for root in published.places(self._settings):
            found = [Held(self.name, root, 0, note=_AWAY)]
            with self._held(root) as place:
                if place is not None:
                    found = [
                        Held(self.name, f"{root}/{table.name}", table.rows, note=table.lack)
                        for partition in self._partitions(place)
                        for table in partition
                        if table.rows or table.lack
                    ]
            yield from found

    def erase(self) -> Iterator[Held]:
        """Publishes each partition anew without the customer; what no manifest names, a killed run's, is deleted."""
        for root in published.places(self._settings):
            found = [Held(self.name, root, 0, note=_AWAY)]
            with self._held(root) as place:
                if place is not None:
                    place.clear()
                    found = [held for partition in _prefixes(place) for held in self._erase(place, partition)]
            yield from found

    def rows(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """The customer's rows by table."""
        for root in published.places(self._settings):
            found = []
            with self._held(root) as place:
                if place is not None:
                    found = [
                        (f"{root}/{table.name}", tables.rows(table.path, table.finder))
                        for partition in self._partitions(place)
                        for table in partition
                        if isinstance(table.finder, Finder) and table.rows
                    ]
            yield from found

    @contextmanager
    def _held(self, root: str) -> Iterator[Place | None]:
        """The place, in which nobody publishes meanwhile; None when it is not there."""
        place = open_place(self._settings, root)
        try:
            if not place.is_there():
                yield None
                return
            with place.held():
                yield place
        except OSError as error:
            remedy = "it takes the rights of whoever publishes there, and room on the disk"
            raise UserError(error.strerror or type(error).__name__, where=root, remedy=remedy) from error

    def _partitions(self, place: Place) -> Iterator[list[_Table]]:
        for prefix in _prefixes(place):
            with files.staged(scratch_folder(self._settings)) as scratch:
                scratch.mkdir()
                yield self._tables(place, prefix, scratch)

    def _tables(self, place: Place, prefix: str, scratch: Path) -> list[_Table]:
        found = []
        for name in filter(_TABLE.fullmatch, place.names(prefix)):
            path = place.local(name, scratch)
            finder = self._search.finder(path, Form.OWN)
            rows = tables.count(path, finder) if isinstance(finder, Finder) else 0
            found.append(_Table(name, path, finder, rows))
        return found

    def _erase(self, place: Place, prefix: str) -> list[Held]:
        for attempt in range(_ATTEMPTS):
            with files.staged(scratch_folder(self._settings)) as scratch:
                scratch.mkdir()
                try:
                    return _Partition(self.name, place, prefix).without(self._tables(place, prefix, scratch), scratch)
                except ConflictError:  # published meanwhile, by somebody with another database
                    if attempt == _ATTEMPTS - 1:
                        raise
        raise AssertionError


class _Partition:
    """The scores of one date and version in a place that is held."""

    def __init__(self, name: str, place: Place, prefix: str) -> None:
        self._name, self._place, self._prefix = name, place, prefix

    def without(self, found: list[_Table], scratch: Path) -> list[Held]:
        """Publishes it without the customer's rows; gives what held them, and what cannot be searched."""
        former = self._place.read(self._prefix + MANIFEST)
        manifest = _manifest(former)
        theirs = [table for table in found if table.rows]
        if former is not None and manifest is None:
            return [self._told(table, note=_DAMAGED) for table in theirs]
        became: dict[str, Listed] = {}
        if former is not None and manifest is not None:
            named = {self._prefix + one.file for one in (*manifest.parts, *manifest.quarantine)}
            became = {table.name: self._rewritten(table, scratch / "fresh") for table in theirs if table.name in named}
            if became:
                self._publish(manifest, former, became, {table.name: table.path for table in found}, scratch)
        for table in theirs:
            self._place.remove(table.name)
        told = [self._told(table, became=became.get(table.name)) for table in theirs]
        return told + [self._told(table, note=table.lack) for table in found if table.lack]

    def _rewritten(self, table: _Table, fresh: Path) -> Listed:
        assert isinstance(table.finder, Finder)
        tables.rewrite(table.path, fresh, table.finder)
        digest = sha256_of_file(fresh)
        kind = table.name.removeprefix(self._prefix).rpartition("-")[0]
        listed = Listed(f"{kind}-{digest[:16]}.parquet", pq.read_metadata(fresh).num_rows, fresh.stat().st_size, digest)
        self._place.put(fresh, self._prefix + listed.file, digest)
        fresh.rename(fresh.with_name(listed.file))
        return listed

    def _publish(
        self, manifest: Manifest, former: bytes, became: dict[str, Listed], local: dict[str, Path], scratch: Path
    ) -> None:
        """The manifest with what the files became, and what there is to count counted anew."""
        parts, quarantine = (
            tuple(became.get(self._prefix + one.file, one) for one in files)
            for files in (manifest.parts, manifest.quarantine)
        )
        tally = Tally()
        for one in parts:
            fresh = scratch / one.file
            _add(tally, fresh if fresh.exists() else local[self._prefix + one.file])
        if not tally.rows:  # nobody is left: there is nothing to publish any more
            named = (*manifest.parts, *manifest.quarantine, *became.values())
            for name in (MANIFEST, *(one.file for one in named)):
                self._place.remove(self._prefix + name)
            return
        rows = tally.rows + sum(one.rows for one in quarantine)
        summary = recounted(manifest.summary, tally, rows)
        fresh_manifest = msgspec.structs.replace(manifest, parts=parts, quarantine=quarantine, summary=summary)
        self._place.replace(self._prefix + MANIFEST, encoded(fresh_manifest), former)

    def _told(self, table: _Table, became: Listed | None = None, note: str = "") -> Held:
        root = self._place.root
        where = f"{root}/{self._prefix}{became.file}" if became else ""
        return Held(self._name, f"{root}/{table.name}", table.rows, where, note)


def _prefixes(place: Place) -> list[str]:
    """Every date and version of which there is a table, also where a run was killed before its manifest."""
    found = (_TABLE.fullmatch(name) for name in place.names(""))
    return [prefix for prefix, _ in groupby(match[1] for match in found if match)]


def _manifest(content: bytes | None) -> Manifest | None:
    try:
        return msgspec.json.decode(content or b"", type=Manifest)
    except msgspec.DecodeError:
        return None


def _add(tally: Tally, path: Path) -> None:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(tables.BATCH_ROWS, columns=list(COUNTED)):
            tally.add(pa.Table.from_batches([batch]))
