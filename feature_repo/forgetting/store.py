"""Whatever CHURN_ONLINE_STORE is, as a place that holds customers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from churn.domain.contract import Contract
from churn.domain.errors import UserError
from churn.stores.addresses import redacted, sqlite_file
from churn.stores.privacy.customer import Customer
from churn.stores.privacy.places import Held
from churn.stores.settings import Settings
from feature_repo.forgetting.hashes import RedisHashes
from feature_repo.forgetting.tables import PostgresTables, SqliteTables, Tables
from feature_repo.locks import online_lock


class OnlineStore:
    """The online store. `contracts` give a Redis store's fields their names back, where they can."""

    name = "online store"

    def __init__(self, settings: Settings, customer: Customer, contracts: Sequence[Contract]) -> None:
        self._settings, self._customer = settings, customer
        self._store = _opened(settings.online_store, contracts)

    def find(self) -> Iterator[Held]:
        """Views, or a Redis store's projects, that hold the customer."""
        with self._told():
            found = [Held(self.name, where, 1) for where, _ in self._store.held(self._customer)]
        yield from found

    def erase(self) -> Iterator[Held]:
        """Deletes the customer from each; no materialisation writes to a SQLite file meanwhile."""
        with online_lock(self._settings), self._told():
            gone = [Held(self.name, where, 1) for where in self._store.erase(self._customer)]
        yield from gone

    def rows(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """The values by feature, and when they were true."""
        with self._told():
            found = list(self._store.held(self._customer))
        yield from ((where, [values]) for where, values in found)

    def _told(self) -> _Told:
        return _Told(self._settings.online_store)


class _Told:
    """Turns what drivers raise into a UserError that quotes nothing of what was asked."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None:
            return
        import psycopg2
        import redis

        if isinstance(error, sqlite3.Error | psycopg2.Error | redis.RedisError):
            problem = f"the online store does not answer ({type(error).__name__})"
            raise UserError(problem, where=redacted(self._address), remedy="check CHURN_ONLINE_STORE") from None


def _opened(address: str, contracts: Sequence[Contract]) -> Tables | RedisHashes:
    if sqlite_file(address) is not None:
        return SqliteTables(address)
    return RedisHashes(address, contracts) if address.startswith("redis") else PostgresTables(address)
