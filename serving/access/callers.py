"""The callers a worker knows, each with its bucket, which outlives a new keys file and a new token."""

from __future__ import annotations

import time
from ipaddress import IPv6Address, ip_network

from serving.access.bounded import Bounded
from serving.access.caller import Caller, Scope
from serving.access.keys import MOST, Key
from serving.access.limits import Bucket, Rate
from serving.access.networks import address_of, truncated
from serving.access.tokens import Token

_STRANGERS = 10_000
"""Subjects of tokens and addresses of anonymous callers that are kept."""

_ANONYMOUS_SCOPES: frozenset[Scope] = frozenset({"predict", "explain"})
"""Nobody administers without a name, wherever the server listens."""


class Callers:
    """Makes callers of what was verified. `rate` is that of those that have none of their own."""

    def __init__(self, rate: Rate | None, workers: int) -> None:
        self._rate = rate
        self._workers = workers
        self._keys: Bounded[str, Caller] = Bounded(2 * MOST)
        self._strangers: Bounded[str, Caller] = Bounded(_STRANGERS)
        self._networks: Bounded[str, Bucket] = Bounded(_STRANGERS)

    def of_key(self, key: Key) -> Caller:
        """The caller of a key; when the key was read again with the same rate, what its bucket holds stays."""
        caller = self._keys.get(key.id)
        if caller is not None and caller.source is key:
            return caller
        rate = key.rate or self._rate
        kept = caller.bucket if caller is not None and caller.bucket and caller.bucket.rate == rate else None
        made = Caller(
            identity=key.id,
            name=key.name,
            label=key.name,
            kind="key",
            scopes=key.scopes,
            bulk=key.bulk,
            bucket=kept or self._bucket(rate),
            source=key,
        )
        return self._keys.put(key.id, made)

    def of_token(self, token: Token) -> Caller:
        """The caller of a token; all tokens of one subject share a bucket."""
        caller = self._strangers.get(token.identity)
        if caller is not None and caller.source is token:
            return caller
        made = Caller(
            identity=token.identity,
            name=token.name,
            label="jwt",
            kind="jwt",
            scopes=token.scopes,
            bucket=caller.bucket if caller is not None else self._bucket(self._rate),
            source=token,
        )
        return self._strangers.put(token.identity, made)

    def of_address(self, address: str) -> Caller:
        """An anonymous caller; those of one address share a bucket."""
        return self._strangers.get(address) or self._strangers.put(address, self._anonymous(address))

    def _anonymous(self, address: str) -> Caller:
        """IPv6 is counted by /64: whoever has one address there has them all."""
        found = address_of(address)
        group = str(ip_network(f"{found}/64", strict=False)) if isinstance(found, IPv6Address) else str(found)
        bucket = self._networks.get(group) or self._bucket(self._rate)
        if bucket is not None:
            self._networks.put(group, bucket)
        return Caller(
            identity=truncated(address),
            name="anonymous",
            label="anonymous",
            kind="anonymous",
            scopes=_ANONYMOUS_SCOPES,
            bucket=bucket,
        )

    def _bucket(self, rate: Rate | None) -> Bucket | None:
        return rate.bucket(self._workers, time.monotonic()) if rate else None
