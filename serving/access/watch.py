"""Callers that do not behave like callers: those that walk through ids, and those that send values nobody has.

Counted for each caller in windows of a fixed length that start with its first request. How many different ids there
were is estimated from a bitmap of 2 KB (linear counting; within 3 % up to 50,000), so a window's memory is fixed, and
no id is kept. One caller is suspected of one kind at most once a window. Each worker counts what it sees."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Mapping
from typing import Literal

import msgspec

from churn.domain.errors import UserError
from serving.access.bounded import Bounded
from serving.access.caller import Caller

log = logging.getLogger(__name__)

Kind = Literal["walks_ids", "far_values"]

WINDOW, IDS, UNKNOWN, FAR = (f"CHURN_WATCH_{name}" for name in ("WINDOW", "DISTINCT_IDS", "UNKNOWN_IDS", "FAR_SHARE"))
_CALLERS = 1000
_BITS = 1 << 14
_MOST_IDS = 50_000
_FEWEST_ROWS = 100
"""Below these, a share of far values says nothing."""


class WatchOptions(msgspec.Struct, frozen=True):
    """What is suspicious within `window` seconds: more than `distinct_ids` different customers (unless the key is for
    bulk), more than `unknown_ids` that do not exist, or, of 100 rows or more, a share above `far_share` with values
    far from training."""

    window: float = 600.0
    distinct_ids: int = 5000
    unknown_ids: int = 100
    far_share: float = 0.2

    @classmethod
    def load(cls, env: Mapping[str, str]) -> WatchOptions:
        """Reads CHURN_WATCH_*. Raises UserError naming the variable."""
        usual = cls()
        return cls(
            window=_number(env, WINDOW, usual.window, 1, 86400),
            distinct_ids=_whole(env, IDS, usual.distinct_ids, _MOST_IDS),
            unknown_ids=_whole(env, UNKNOWN, usual.unknown_ids, 10**9),
            far_share=_number(env, FAR, usual.far_share, 0, 1),
        )


class _Window:
    __slots__ = ("bits", "ends", "far", "found", "rows", "set_bits", "unknown")

    def __init__(self, ends: float) -> None:
        self.ends = ends
        self.bits: bytearray | None = None  # a caller that never names an id needs none
        self.set_bits = self.rows = self.far = self.unknown = 0
        self.found: tuple[Kind, ...] = ()

    def add(self, ids: Iterable[object]) -> None:
        if self.bits is None:
            self.bits = bytearray(_BITS >> 3)
        for one in ids:
            place = hash(one) & (_BITS - 1)
            mask = 1 << (place & 7)
            if not self.bits[place >> 3] & mask:
                self.bits[place >> 3] |= mask
                self.set_bits += 1

    def distinct(self) -> float:
        """Whang, Vander-Zanden and Taylor, A linear-time probabilistic counting algorithm, 1990."""
        free = _BITS - self.set_bits
        return _BITS * math.log(_BITS / free) if free else math.inf


class Watch:
    """Counts what callers do. `suspicious` holds how often each (label, kind) was suspected, for metrics."""

    def __init__(self, options: WatchOptions) -> None:
        self._options = options
        self._windows: Bounded[str, _Window] = Bounded(_CALLERS)
        self.suspicious: dict[tuple[str, Kind], int] = {}

    def saw(  # noqa: PLR0913 - the counts of one request
        self,
        caller: Caller,
        now: float,
        *,
        ids: Collection[object] = (),
        unknown_ids: int = 0,
        rows: int = 0,
        far_rows: int = 0,
    ) -> tuple[Kind, ...]:
        """Counts one answered request; gives what the caller is suspected of since this one, mostly nothing.

        `ids` are those the request named (hashed, not kept), `unknown_ids` how many of them there are not, `far_rows`
        how many of its `rows` have a value far from training; `now` is of a monotonic clock."""
        window = self._windows.get(caller.identity)
        if window is None or window.ends < now:
            window = self._windows.put(caller.identity, _Window(now + self._options.window))
        if ids:
            window.add(ids)
        window.rows += rows
        window.far += far_rows
        window.unknown += unknown_ids
        if len(window.found) == 2:
            return ()
        return self._judge(caller, window) if ids or far_rows or unknown_ids else ()

    def _judge(self, caller: Caller, window: _Window) -> tuple[Kind, ...]:
        limits = self._options
        walks = window.unknown > limits.unknown_ids or (not caller.bulk and window.distinct() > limits.distinct_ids)
        far = window.rows >= _FEWEST_ROWS and window.far > limits.far_share * window.rows
        now: tuple[Kind, ...] = (*(("walks_ids",) if walks else ()), *(("far_values",) if far else ()))
        new: tuple[Kind, ...] = tuple(kind for kind in now if kind not in window.found)
        window.found += new
        for kind in new:
            self.suspicious[caller.label, kind] = self.suspicious.get((caller.label, kind), 0) + 1
            log.warning("suspicious: %s (%s) %s", caller.name, caller.identity, kind)
        return new


def _whole(env: Mapping[str, str], name: str, usual: int, most: int) -> int:
    value = _number(env, name, usual, 1, most)
    if not value.is_integer():
        raise UserError(f"'{env[name][:40]}' cannot be", where=name, remedy="give a whole number")
    return int(value)


def _number(env: Mapping[str, str], name: str, usual: float, least: float, most: float) -> float:
    if not env.get(name):
        return float(usual)
    try:
        value = float(env[name])
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise UserError(f"'{env[name][:40]}' cannot be", where=name, remedy=f"give a number from {least:g} to {most:g}")
    return value
