"""Feast's SQLite layout: a table for each view, a row for each feature of an entity."""

from __future__ import annotations

import asyncio
import calendar
import itertools
import math
import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import quote

from churn.domain.bundle import Online
from feature_repo.direct.errors import BadValueError
from feature_repo.direct.keys import Keys
from feature_repo.direct.values import Raw

FEW = 8
"""So many ids are read in the event loop, more in a thread."""

_AT_ONCE = 1000
_LOCKED = ("locked", "busy")


class SqliteStore:
    """One view in a file, which may not be there yet, may be written to, and may be replaced."""

    def __init__(self, file: Path, online: Online, deadline: float) -> None:
        self.keys = Keys(online)
        self._deadline = deadline
        table = f"{online.project}_{online.view}".replace('"', '""')
        self._query = f'SELECT entity_key, feature_name, value, event_ts FROM "{table}" WHERE entity_key IN '  # noqa: S608
        self._places = {column.name: place for place, column in enumerate(online.columns)}
        self._here, self._aside = _File(file, patience=0), _File(file, patience=deadline)

    async def fetch(self, keys: Sequence[bytes]) -> Sequence[Any]:
        """The rows of each key. Raises OSError, TimeoutError, sqlite3.Error."""
        if len(keys) <= FEW:
            try:
                return self._read(self._here, keys)
            except sqlite3.OperationalError as error:
                if not str(error).endswith(_LOCKED):
                    raise
        return await self._read_aside(keys)

    def row(self, found: list[tuple[Any, ...]]) -> tuple[float, Sequence[Raw]]:
        """When a customer's values were true (epoch seconds, NaN for nobody), and the values by column.

        Raises BadValueError for a timestamp that Feast has not written."""
        values: list[Raw] = [None] * len(self._places)
        for _, feature, value, _ in found:
            place = self._places.get(feature)
            if place is not None:
                values[place] = value
        return _seen(found[-1][3]) if found else math.nan, values

    async def warm(self) -> None:
        """Opens the file. Raises what `fetch` does."""
        await self.fetch([b""])

    def close(self) -> None:
        """Closes the file; a thread that still reads is interrupted."""
        self._here.close()
        self._aside.close()

    async def _read_aside(self, keys: Sequence[bytes]) -> Sequence[Any]:
        reading = asyncio.get_running_loop().run_in_executor(None, self._read, self._aside, keys)
        done, _ = await asyncio.wait((reading,), timeout=self._deadline * (1 + len(keys) // 1000))
        if not done:
            reading.cancel()
            raise TimeoutError("no answer within the deadline")
        return reading.result()

    def _read(self, file: _File, keys: Sequence[bytes]) -> list[list[tuple[Any, ...]]]:
        found: dict[bytes, list[tuple[Any, ...]]] = {}
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            rows = file.execute(f"{self._query}({','.join('?' * len(part))}) ORDER BY entity_key", part)
            found |= {key: list(group) for key, group in itertools.groupby(rows, itemgetter(0))}
        return [found.get(key, []) for key in keys]


class _File:
    """The file, opened when it is first read and again when another has taken its place. Threads may share it."""

    def __init__(self, path: Path, patience: float) -> None:
        self._path, self._patience = path, patience
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None
        self._lock = threading.Lock()

    def execute(self, query: str, keys: Sequence[bytes]) -> list[tuple[Any, ...]]:
        """All rows of a query. Raises FileNotFoundError, sqlite3.Error."""
        with self._lock:
            status = self._path.stat()
            if self._connection is None or self._opened != (status.st_dev, status.st_ino):
                self._reopen(status)
            assert self._connection is not None
            try:
                return self._connection.execute(query, keys).fetchall()
            except sqlite3.DatabaseError:
                self._end()  # what is broken for this connection may be whole for the next
                raise

    def close(self) -> None:
        """Closes the file; a query that runs fails."""
        if self._connection is not None:
            self._connection.interrupt()
        with self._lock:
            self._end()

    def _reopen(self, status: os.stat_result) -> None:
        self._end()
        address = f"file:{quote(str(self._path))}?mode=ro"
        self._connection = sqlite3.connect(
            address, uri=True, timeout=self._patience, check_same_thread=False, isolation_level=None
        )
        self._opened = (status.st_dev, status.st_ino)

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _seen(stored: Any) -> float:
    """Feast writes UTC as if it were local time, and reads it back in the same way; 1970 is nobody's."""
    try:
        return calendar.timegm(time.localtime(stored)) or math.nan
    except (TypeError, ValueError, OverflowError):
        raise BadValueError("is none", "event timestamp", "materialise it again") from None
