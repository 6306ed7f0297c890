"""Predictions that have become old go from the database to Parquet in the object store, each exactly once.

Files are written under `archive/pending`, counted and read back; then their rows are deleted in one transaction; then
they get their name, `archive/predictions/month=/model=/version=/<digest>.parquet`. After a kill, whether a pending
file counts is for the database to say: it does when none of its rows is there any more."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import msgspec
import pyarrow.parquet as pq

from churn.domain.errors import UserError
from churn.stores import files, objects
from churn.stores.addresses import redacted
from churn.stores.digests import sha256_of_file
from churn.stores.objects import ObjectStore
from churn.stores.prediction_log.reading import Query, read
from churn.stores.privacy.months import Due, Months, months
from churn.stores.privacy.stored import ARCHIVE, scratch_folder
from churn.stores.settings import Settings

PENDING = f"{ARCHIVE}/pending"

LONGEST_DAYS = 36_525
"""A hundred years: nothing is older."""

_ATTEMPTS = 5
_ASKED_FOR = 200  # rows of a pending file that the database is asked about: all of them went, or none


class Archived(msgspec.Struct, frozen=True):
    """A file that was written: its key, the rows in it, and the month (`2026-08`) they are of."""

    key: str
    rows: int
    month: str


class Retained(msgspec.Struct, frozen=True):
    """What became of predictions from before `before`; `months_ahead` have their partitions already."""

    before: dt.datetime
    files: list[Archived]
    months: list[str]
    months_ahead: int


def retain(settings: Settings, days: int, now: dt.datetime | None = None) -> Retained:
    """Archives predictions older than `days` whole days (UTC), month by month. The caller has the turn.

    On PostgreSQL a month that is over is dropped, of the one that is not its days are deleted. Raises UserError when
    the log cannot be read, or somebody reads an old month so long that it cannot go."""
    if not 1 <= days <= LONGEST_DAYS:
        raise UserError(f"{days} days cannot be", where="--days", remedy=f"give 1 to {LONGEST_DAYS}")
    today = (now or dt.datetime.now(dt.UTC)).replace(hour=0, minute=0, second=0, microsecond=0)
    before = today - dt.timedelta(days=days)
    log = months(settings.database)
    if log is None:
        return Retained(before, [], [], 0)
    archive = Archive(settings, log)
    found = archive.settle()
    due = list(log.due(before))
    found += [file for one in due for file in archive.move(one)]
    return Retained(before, found, [one.name for one in due], log.prepare())


class Archive:
    """The archive, and the log that it is filled from."""

    def __init__(self, settings: Settings, log: Months) -> None:
        self._settings, self._log = settings, log
        self._store = objects.open_store(settings)

    def settle(self) -> list[Archived]:
        """Decides about files that a killed run left pending; gives those that count."""
        found = []
        for address in self._store.list(f"{PENDING}/"):
            with files.staged(scratch_folder(self._settings)) as scratch:
                file = _uncached(self._settings, scratch).fetch(address)
                if self._log.holds_any(_first_rows(file)):
                    self._store.delete(address)
                else:
                    found.append(self._publish(file))
        return found

    def move(self, due: Due) -> list[Archived]:
        """Moves the predictions of a month, or of its days that are due."""
        for attempt in range(_ATTEMPTS):
            time.sleep(attempt)  # somebody reads the month, or has written to it: they will be done
            with files.staged(scratch_folder(self._settings)) as folder:
                folder.mkdir()
                written = [path for version in self._log.versions(due) for path in self._write(folder, due, *version)]
                rows = sum(_rows(path) for path in written)
                for path in written:
                    self._set_down(path)
                if self._log.drop(due, rows):
                    return [self._publish(path) for path in written]
                for path in written:
                    self._store.delete(self._pending(path))
        where = f"{redacted(self._settings.database)}, predictions of {due.name}"
        raise UserError("is in use, and nothing of it was changed", where, "run again when nobody reads old months")

    def _write(self, folder: Path, due: Due, model: str, version: int) -> Iterator[Path]:
        """A file for each layout of a version's features, named by its digest."""
        query = Query(model=model, version=version, since=due.since, until=due.until)
        with ExitStack() as stack:
            writers: dict[str, pq.ParquetWriter] = {}
            for batch in read(self._settings.database, query):
                layout = batch.column("layout")[0].as_py()
                if layout not in writers:
                    path = folder / f"{len(list(folder.iterdir()))}.open"
                    writers[layout] = stack.enter_context(pq.ParquetWriter(path, batch.schema, compression="zstd"))
                writers[layout].write_batch(batch)
        for path in sorted(folder.glob("*.open")):
            yield path.rename(folder / f"{sha256_of_file(path)}.parquet")

    def _set_down(self, path: Path) -> None:
        """Stores a file, and reads it back. Raises UserError when it is not what was written."""
        address = self._store.put_file(path, f"{PENDING}/{path.name}")
        with files.staged(scratch_folder(self._settings)) as scratch:
            back = _uncached(self._settings, scratch).fetch(address)
            if sha256_of_file(back) != path.stem or _rows(back) != _rows(path):
                raise UserError("was stored as something else", where=address, remedy="check the store; run again")

    def _publish(self, path: Path) -> Archived:
        with pq.ParquetFile(path) as file:
            [first] = next(file.iter_batches(1, columns=["model", "version", "predicted_at"])).to_pylist()
            rows = int(file.metadata.num_rows)
        month = f"{first['predicted_at']:%Y-%m}"
        of = f"month={month}/model={quote(first['model'], safe='')}/version={first['version']}"
        key = f"{ARCHIVE}/predictions/{of}/{path.stem}.parquet"
        self._store.put_file(path, key)
        self._store.delete(self._pending(path))
        return Archived(key, rows, month)

    def _pending(self, path: Path) -> str:
        return self._store.address(f"{PENDING}/{path.name}")


def _uncached(settings: Settings, scratch: Path) -> ObjectStore:
    """The store, with nothing kept of what is fetched from it."""
    return objects.open_store(msgspec.structs.replace(settings, home=scratch), settings.objects)


def _rows(path: Path) -> int:
    return int(pq.read_metadata(path).num_rows)


def _first_rows(path: Path) -> list[tuple[bytes, int]]:
    with pq.ParquetFile(path) as file:
        first = next(file.iter_batches(_ASKED_FOR, columns=["record", "row"]))
    return [(row["record"], row["row"]) for row in first.to_pylist()]
