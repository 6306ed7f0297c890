"""Tables in files of this machine: what steps hand on, the demo's table, and copies of what lies on S3."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from churn.stores import files
from churn.stores.digests import sha256_of_file
from churn.stores.privacy import tables
from churn.stores.privacy.ledger import Ledger, Moved
from churn.stores.privacy.places import Held
from churn.stores.privacy.stored import scratch_folder
from churn.stores.privacy.tables import Finder, Form, Lack, Search
from churn.stores.settings import Settings

LEFT_BEHIND_S = 3600
"""Age after which a staged file, in which anything may lie, is taken for one that a killed process left behind."""

_OWN = {"valid", "entities", "scored", "raw.parquet", "derived.parquet"}
_BUNDLE = {"model.onnx", "bundle.json"}
_KEYLESS = {"reference", "window", "predictions"}
"""What monitoring compares. It holds no key and no pseudonym: where nothing says otherwise, nobody is in it."""


class StepFiles:
    """What steps of local runs hand on (Parquet in `runs`), and the demo's table. Each file keeps its name."""

    name = "step files"

    def __init__(self, settings: Settings, search: Search, ledger: Ledger) -> None:
        self._home, self._search, self._ledger = settings.home, search, ledger
        self._scratch = scratch_folder(settings)

    def find(self) -> Iterator[Held]:
        """Files with the customer's rows; and those that cannot be searched."""
        for path in self._files():
            finder = _finder(self._search, path)
            found = tables.count(path, finder) if isinstance(finder, Finder) else 0
            if finder is Lack.UNKNOWN and path.name in _KEYLESS:
                continue
            if found or isinstance(finder, Lack):
                yield Held(self.name, self._shown(path), found, note=finder.value if isinstance(finder, Lack) else "")

    def erase(self) -> Iterator[Held]:
        """Puts each file without the rows in its own place; who reads it meanwhile goes on with what they opened."""
        for held in self.find():
            path = self._home / held.where
            if held.rows:
                self._rewrite(path)
            elif held.note == Lack.BROKEN.value and _is_left_behind(path):
                files.remove(path)
                held = Held(held.place, held.where, 0, note=f"{held.note}; deleted")  # noqa: PLW2901
            yield held

    def rows(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """The customer's rows by file."""
        for path in self._files():
            finder = _finder(self._search, path)
            if isinstance(finder, Finder) and (found := tables.rows(path, finder)):
                yield self._shown(path), found

    def _files(self) -> Iterator[Path]:
        yield from _tables(self._home / "runs")
        yield from _tables(self._home / "demo")

    def _shown(self, path: Path) -> str:
        return path.relative_to(self._home).as_posix()

    def _rewrite(self, path: Path) -> None:
        finder = _finder(self._search, path)
        assert isinstance(finder, Finder)
        with files.staged(self._scratch) as fresh:
            gone = tables.rewrite(path, fresh, finder)
            where = self._shown(path)
            entry = Moved(where, where, gone, self._ledger.act, in_home=True)
            self._ledger.moved(sha256_of_file(path), sha256_of_file(fresh), entry)
            files.publish(fresh, path)


class Copies:
    """What was fetched from S3, and what killed processes left half done. Both are deleted: they can be had again."""

    name = "copies"

    def __init__(self, settings: Settings, search: Search) -> None:
        self._home, self._search = settings.home, search
        store = [] if "://" in settings.objects else [Path(settings.objects, ".staging")]
        self._staging = [self._home / ".staging", self._home / "cache" / ".staging", *store]

    def find(self) -> Iterator[Held]:
        """Cached tables with the customer's rows, and what was staged and forgotten, whatever it holds."""
        for path in _tables(self._home / "cache"):
            finder = _finder(self._search, path)
            found = tables.count(path, finder) if isinstance(finder, Finder) else 0
            if found:
                yield Held(self.name, path.relative_to(self._home).as_posix(), found)
        for path in self._left_behind():
            yield Held(self.name, str(path), 0, note="left behind by a process that was killed")

    def erase(self) -> Iterator[Held]:
        """Deletes them."""
        for held in list(self.find()):
            files.remove(self._home / held.where)
            yield held

    def rows(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Nothing: they are copies of what is told elsewhere."""
        yield from ()

    def _left_behind(self) -> Iterator[Path]:
        for folder in self._staging:
            for path in folder.iterdir() if folder.is_dir() else ():
                if _is_left_behind(path):
                    yield path


def sources(settings: Settings, search: Search) -> Iterator[Held]:
    """Tables of people's own that local runs have read, that are still there, and that hold the customer."""
    read = set[str]()
    for file in (settings.home / "runs").rglob("ingest/executor_output.json"):
        found = msgspec.json.decode(file.read_bytes())
        snapshot = found.get("artifacts", {}).get("snapshot", {}).get("artifacts", [{}])[0]
        read.add(str(snapshot.get("metadata", {}).get("source", "")))
    for source in sorted(read):
        path = Path(source)
        if "://" in source or not path.is_file() or path.is_relative_to(settings.home):
            continue
        finder = search.finder(path, Form.SOURCE)
        found = tables.count(path, finder) if isinstance(finder, Finder) else 0
        if found:
            yield Held("source", source, found, note="yours, and left as it is: the next training would bring it back")


def _is_left_behind(path: Path) -> bool:
    return time.time() - path.stat().st_mtime > LEFT_BEHIND_S


def _tables(folder: Path) -> Iterator[Path]:
    """Every table below a folder, bundles left out: they hold no keys."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or ".staging" in path.parts or any((path.parent / one).exists() for one in _BUNDLE):
            continue
        if path.suffix == ".csv" or tables.is_parquet(path):
            yield path


def _finder(search: Search, path: Path) -> Finder | Lack:
    return search.finder(path, Form.OWN if path.name in _OWN else Form.SOURCE)
