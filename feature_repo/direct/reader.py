"""What the predictor opens for each model and asks for each request by id."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from churn.domain.bundle import Online
from churn.domain.contract import Contract
from churn.stores.addresses import sqlite_file
from churn.stores.settings import Settings
from feature_repo.direct.breaker import Breaker
from feature_repo.direct.errors import BadIdError, BadValueError
from feature_repo.direct.keys import Keys
from feature_repo.direct.values import Raw, Values

log = logging.getLogger(__name__)

DEADLINE_S = 0.25
"""How long a read may take; for each thousand ids beyond the first again as long."""

_TURN = 256  # customers that are decoded before others in the event loop have theirs
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store holds of m customers.

    columns  float64 (m, k), as the graph takes them; NaN also where the customer is unknown or stale
    seen     float64 (m,), epoch seconds of the event timestamp; NaN where the customer is unknown
    stale    bool (m,), whether the values are older than the model's TTL"""

    columns: npt.NDArray[np.float64]
    seen: npt.NDArray[np.float64]
    stale: npt.NDArray[np.bool_]


class Store(Protocol):
    """One view in one kind of store; `fetch` may raise anything, which then means that the store is away."""

    keys: Keys

    async def fetch(self, keys: Sequence[bytes]) -> Sequence[Any]: ...

    def row(self, found: Any) -> tuple[float, Sequence[Raw]]: ...

    async def warm(self) -> None: ...

    def close(self) -> None: ...


class Reader:
    """A model's view of the online store. Belongs to the event loop that it is first used in."""

    def __init__(self, store: Store, values: Values, ttl_days: int, breaker: Breaker) -> None:
        self._store, self._values, self._breaker = store, values, breaker
        self._ttl_us = ttl_days * _DAY_S * 1_000_000

    async def read(self, ids: Sequence[str | int], now: float | None = None) -> Stored:
        """What the store holds of these customers, in order; one that is named twice is read once.

        Older than the TTL is judged against `now` (epoch seconds, the clock by default). Raises StoreAwayError; and
        BadIdError or BadValueError when something is wrong with some of them, whose `stored` has all the others."""
        try:
            keys = self._store.keys.encode(ids)
        except BadIdError as error:
            error.stored = await self._others(ids, error.rows, now)
            raise
        distinct = list(dict.fromkeys(keys))
        found = await self._fetch(distinct) if distinct else ()
        now = time.time() if now is None else now
        if len(keys) == 1:
            return await self._one(found[0], now)
        places = {key: place for place, key in enumerate(distinct)}
        return await self._all(found, [places[key] for key in keys], now)

    async def warm(self) -> None:
        """Connects, so that the first read need not. What fails now is tried again then."""
        try:
            await self._store.warm()
        except Exception as error:  # noqa: BLE001 - a store that is away must not keep a model from serving
            log.warning("the online store does not answer yet: %s: %s", type(error).__name__, error)

    def close(self) -> None:
        """Ends connections; who still waits gets StoreAwayError."""
        self._store.close()

    async def _fetch(self, keys: Sequence[bytes]) -> Sequence[Any]:
        ticket = self._breaker.enter()
        try:
            found = await self._store.fetch(keys)
        except Exception as error:
            raise self._breaker.failed(ticket, error) from error
        except BaseException:
            self._breaker.abandoned(ticket)
            raise
        self._breaker.succeeded(ticket)
        return found

    async def _others(self, ids: Sequence[str | int], bad: Sequence[int], now: float | None) -> Stored:
        """What is stored of all but the `bad` rows, which look unknown."""
        left = np.setdiff1d(np.arange(len(ids)), bad)
        try:
            found = await self.read([ids[row] for row in left], now)
        except BadValueError as error:
            found = error.stored
        stored = self._blank(len(ids))
        stored.columns[left], stored.seen[left], stored.stale[left] = found.columns, found.seen, found.stale
        return stored

    def _blank(self, count: int) -> Stored:
        nobody = np.full(count, np.nan)
        return Stored(np.full((count, self._values.width), np.nan), nobody, np.zeros(count, np.bool_))

    async def _one(self, found: Any, now: float) -> Stored:
        try:
            seen, stale, columns = self._row(found, now)
        except BadValueError:
            return await self._all([found], [0], now)
        return Stored(np.array([columns], np.float64), np.array([seen], np.float64), np.array([stale]))

    async def _all(self, found: Sequence[Any], places: Sequence[int], now: float) -> Stored:
        """Each row from its place in `found`."""
        stored, bad = self._blank(len(found)), dict[int, BadValueError]()
        for place, one in enumerate(found):
            if place % _TURN == _TURN - 1:
                await asyncio.sleep(0)
            try:
                stored.seen[place], stored.stale[place], stored.columns[place] = self._row(one, now)
            except BadValueError as error:
                bad[place] = error
        if len(places) != len(found):
            index = np.array(places, np.intp)
            stored = Stored(stored.columns[index], stored.seen[index], stored.stale[index])
        if bad:
            first = next(iter(bad.values()))
            rows = [row for row, place in enumerate(places) if place in bad]
            fault = BadValueError(first.problem, first.where, first.remedy, rows)
            fault.stored = stored
            raise fault
        return stored

    def _row(self, found: Any, now: float) -> tuple[float, bool, Sequence[float]]:
        seen, raw = self._store.row(found)
        stale = round((now - seen) * 1e6) > self._ttl_us if seen == seen else False  # noqa: PLR0124 - NaN is nobody
        if stale or math.isnan(seen):
            return seen, stale, self._values.blank
        return seen, False, self._values.row(raw)


def open_reader(
    settings: Settings, contract: Contract, online: Online, deadline: float = DEADLINE_S, breaker: Breaker | None = None
) -> Reader:
    """A reader of the settings' online store for a model's contract and the layout in its bundle.

    Nothing is connected before it is needed. `deadline` is in seconds. Raises UserError when the layout is another
    version's, or not the contract's."""
    if breaker is None:  # a file that is away costs nothing to ask for, and is back as soon as it is written
        breaker = Breaker(longest=1.0) if sqlite_file(settings.online_store) else Breaker()
    store = _store(settings, contract, online, deadline)
    return Reader(store, Values(contract, online), online.ttl_days, breaker)


def _store(settings: Settings, contract: Contract, online: Online, deadline: float) -> Store:
    file = sqlite_file(settings.online_store)
    if file is not None:
        from feature_repo.direct.sqlite_store import SqliteStore

        return SqliteStore(file, online, deadline)
    if settings.online_store.startswith("redis"):
        from feature_repo.direct.redis_store import RedisStore

        return RedisStore(settings.online_store, online, deadline)
    from feature_repo.direct.feast_store import FeastStore

    return FeastStore(settings, contract, online, deadline)
