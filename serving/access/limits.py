"""How often a caller may ask: a token bucket for each, in rows.

A row costs one token, whether it comes alone or in a batch: what is protected is the work, and a batch of 10,000 is
10,000 predictions. A request pays its first row at the door, the others when its body has been read; a batch may take
the bucket below zero and is answered, and what follows waits until the debt is paid. So no batch is too large for a
rate, the long-run rate holds, and requests that came in together cannot all overdraw.

Each worker holds its own buckets and gets an equal share of the rate, so together they allow what was asked for. A
client that keeps a single connection meets a single worker and so a single share. A share is never less than one
token, so a short burst may reach one for each worker."""

from __future__ import annotations

import math
import re

import msgspec

from churn.domain.errors import UserError

_SECONDS = {"s": 1, "m": 60, "h": 3600}
_RATE = re.compile(r"([1-9][0-9]{0,8})/(s|m|h)")


class Rate(msgspec.Struct, frozen=True):
    """`quota` rows in `window` seconds, which is also the burst."""

    quota: int
    window: int

    @classmethod
    def parse(cls, text: str, where: str) -> Rate:
        """Reads `100/s`, `6000/m`, `100000/h`. Raises UserError for anything else."""
        match = _RATE.fullmatch(text)
        if match is None:
            raise UserError(
                f"'{text[:40]}' is no rate", where=where, remedy="write rows by time: 100/s, 6000/m, 90000/h"
            )
        return cls(int(match[1]), _SECONDS[match[2]])

    def bucket(self, workers: int, now: float) -> Bucket:
        """A full bucket with one worker's share."""
        return Bucket(self, workers, now)


class Bucket:
    """One caller's tokens in one worker. Times are seconds of a monotonic clock."""

    __slots__ = ("_balance", "_capacity", "_fixed", "_per_second", "_stamp", "rate")

    def __init__(self, rate: Rate, workers: int, now: float) -> None:
        self.rate = rate
        self._capacity = max(rate.quota / workers, 1.0)
        self._per_second = rate.quota / workers / rate.window
        self._balance = self._capacity
        self._stamp = now
        share = int(self._capacity)
        self._fixed = (
            (b"ratelimit-policy", b"%d;w=%d" % (share, rate.window)),
            (b"ratelimit-limit", b"%d" % share),
        )

    def take(self, now: float) -> float:
        """Takes one token. Gives 0.0, or the seconds until there is one."""
        balance = self._balance + (now - self._stamp) * self._per_second
        self._stamp = now
        if balance < 1.0:
            self._balance = balance
            return (1.0 - balance) / self._per_second
        self._balance = min(balance, self._capacity) - 1.0
        return 0.0

    def charge(self, tokens: int) -> float:
        """Takes the rest of what an admitted request costs. Gives 0.0, or the seconds to wait when it is overdrawn."""
        if self._balance < 0.0:
            return (1.0 - self._balance) / self._per_second
        self._balance -= tokens
        return 0.0

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """`RateLimit-Policy`, `-Limit`, `-Remaining` and `-Reset` (seconds until the bucket is full).

        The form of draft-ietf-httpapi-ratelimit-headers-06, which proxies and client libraries read; the one field of
        the later drafts is hardly read anywhere yet. As of the last request that was let in or sent away."""
        balance = self._balance
        remaining = int(balance) if balance > 0.0 else 0
        reset = math.ceil((self._capacity - balance) / self._per_second)
        return (
            *self._fixed,
            (b"ratelimit-remaining", b"%d" % remaining),
            (b"ratelimit-reset", b"%d" % max(reset, 0)),
        )
