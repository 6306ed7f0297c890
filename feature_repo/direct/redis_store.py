"""Feast's Redis layout: a hash for each entity, a field for each feature of a view and one for its timestamp."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import hiredis
import mmh3

from churn.domain.bundle import Online
from feature_repo.direct.errors import BadValueError, GarbageError
from feature_repo.direct.keys import Keys
from feature_repo.direct.redis_link import Address, Link, packed, refuse
from feature_repo.direct.values import Raw, Timestamps

MANY = 128
"""From so many ids on, a request has a connection of its own kind: single reads do not queue behind it."""


class RedisStore:
    """One view in Redis. Any number of keys is one round trip: all commands go out before the first reply is due."""

    def __init__(self, url: str, online: Online, deadline: float) -> None:
        address = Address.of(url)
        self.keys = Keys(online, suffix=online.project.encode())
        self._deadline = deadline
        self._few, self._many = Link(address, deadline), Link(address, deadline)
        self._timestamps = Timestamps()
        fields = [_hash(f"{online.view}:{column.name}") for column in online.columns]
        self._width = len(fields) + 1
        self._head = b"*%d\r\n$5\r\nHMGET\r\n$" % (2 + self._width)
        self._tail = packed(*fields, b"_ts:" + online.view.encode()).partition(b"\r\n")[2]

    async def fetch(self, keys: Sequence[bytes]) -> Sequence[Any]:
        """What Redis holds under each key. Raises OSError, TimeoutError, RefusedError, GarbageError."""
        head, tail = self._head, self._tail
        commands = b"".join([b"%b%d\r\n%b\r\n%b" % (head, len(key), key, tail) for key in keys])
        link = self._few if len(keys) < MANY else self._many
        replies = await link.ask(commands, len(keys), self._deadline * (1 + len(keys) // 1000))
        try:
            for reply in replies:
                self._check(reply)
        except BaseException:
            link.drop()
            raise
        return replies

    def row(self, reply: Any) -> tuple[float, Sequence[Raw]]:
        """When a customer's values were true (epoch seconds, NaN for nobody), and the values by column.

        Raises BadValueError for what Feast has not written."""
        if isinstance(reply, hiredis.ReplyError):
            raise BadValueError("is not held as Feast holds it", "a customer", "materialise it again")
        try:
            return self._timestamps[reply[-1]], reply
        except ValueError:
            raise BadValueError("is none", "event timestamp", "materialise it again") from None

    async def warm(self) -> None:
        """Connects. Raises what `fetch` does."""
        refuse(await self._few.ask(packed(b"PING"), 1, self._deadline))

    def close(self) -> None:
        """Ends the connections."""
        self._few.close()
        self._many.close()

    def _check(self, reply: Any) -> None:
        if type(reply) is list and len(reply) == self._width:
            return
        if isinstance(reply, hiredis.ReplyError):
            if not str(reply).startswith("WRONGTYPE"):  # which is about this one customer
                refuse([reply])
            return
        raise GarbageError("what was received answers another question")


def _hash(field: str) -> bytes:
    return struct.pack("<I", mmh3.hash(field, signed=False))
