"""Online stores on Redis: a hash for each entity and project, in which its views have their fields."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from churn.domain.contract import Contract
from churn.stores.privacy.customer import Customer
from feature_repo import names
from feature_repo.forgetting.keys import described, parsed, values_of

_SCANNED = 5_000  # keys that are looked at in one call, between which Redis serves others


class RedisHashes:
    """A Redis, of which all keys are looked at: none has to be known."""

    def __init__(self, address: str, contracts: Sequence[Contract]) -> None:
        self._address, self._contracts = address, contracts

    def held(self, customer: Customer) -> Iterator[tuple[str, dict[str, Any]]]:
        """The customer's values by project and view."""
        client = self._client()
        for key, project in self._keys(client, customer):
            fields = client.hgetall(key)
            for view in _views(fields):
                found = self._named(view, fields)
                yield f"{project}/{view}", described(found, _seconds(fields[b"_ts:" + view.encode()]))

    def erase(self, customer: Customer) -> list[str]:
        """The projects and views in which there was something to delete."""
        client = self._client()
        gone = []
        for key, project in list(self._keys(client, customer)):
            views = _views(client.hkeys(key))
            if client.delete(key):
                gone += [f"{project}/{view}" for view in views]
        return gone

    def _keys(self, client: Any, customer: Customer) -> Iterator[tuple[bytes, str]]:
        """Keys that name the customer, whatever their project and join key: all that there are, are looked at."""
        seen = set[bytes]()
        for kind, value in values_of(customer):
            pattern = b"*" + _escaped(struct.pack("<II", kind, len(value)) + value) + b"*"
            for key in client.scan_iter(match=pattern, count=_SCANNED, _type="hash"):
                found = parsed(key)
                if found and (found.kind, found.value) == (kind, value) and key not in seen:
                    seen.add(key)
                    yield key, key[found.end :].decode(errors="replace")

    def _named(self, view: str, fields: dict[bytes, bytes]) -> list[tuple[str, bytes]]:
        import mmh3

        found = []
        for contract in self._contracts:
            if names.raw_view(contract) == view:
                for column in map(names.field, contract.raw):
                    field = struct.pack("<I", mmh3.hash(f"{view}:{column}", signed=False))
                    found.append((column, fields.get(field, b"")))
                break
        return found or [(name.hex(), value) for name, value in fields.items() if not name.startswith(b"_ts:")]

    def _client(self) -> Any:
        import redis

        return redis.Redis.from_url(self._address, socket_timeout=60, socket_connect_timeout=10)


def _views(fields: Iterable[bytes]) -> list[str]:
    return sorted(name[4:].decode() for name in fields if name.startswith(b"_ts:"))


def _seconds(raw: bytes) -> float:
    from google.protobuf.timestamp_pb2 import Timestamp

    return float(Timestamp.FromString(raw).ToMicroseconds()) / 1e6


def _escaped(pattern: bytes) -> bytes:
    return re.sub(rb"([*?\[\]\\^])", rb"\\\1", pattern)
