"""The audit: one JSON line for each administrative act and each refused access.

A line has no secret: of a key its id and name alone, of a token a hash of its subject. A client's address is personal
data, and the people who read an audit need to see where an attack comes from: by default the network is written (/24
of IPv4, /48 of IPv6), with `CHURN_AUDIT_ADDRESSES=full` the address, for those who have a reason and a retention.

Refusals alike (reason, caller, network) are written once a second at most, with a count, and no more than 20 lines a
second are written in all; what is beyond is one line with a count. So who floods the door cannot fill the disk. What
cannot be written is counted in `lost`, and serving goes on."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from churn.domain.errors import UserError
from serving.access.caller import NO_TRACE, Trace
from serving.access.networks import truncated

log = logging.getLogger(__name__)

WINDOW_S = 1.0
LINES = 20
_FLOODS = 1024
_TRACE = re.compile(r"[A-Za-z0-9_.:/=+-]{0,128}")
_STDERR = 2


class _Flood:
    __slots__ = ("count", "ends", "line", "since")

    def __init__(self, ends: float) -> None:
        self.ends = ends
        self.count = 0
        self.since = ""
        self.line: dict[str, Any] = {}

    def add(self, line: dict[str, Any], times: int = 1, since: str = "") -> None:
        self.since = self.since if self.count else since or line["time"]
        self.count += times
        self.line = line

    def told(self) -> dict[str, Any]:
        line = {**self.line, "count": self.count} | ({"since": self.since} if self.count > 1 else {})
        self.count = 0
        return line


class Audit:
    """Appends lines to a file, or to stderr when `path` is None. Times are of a monotonic clock, in seconds.

    Threads may share it."""

    def __init__(self, path: Path | None, addresses: Literal["network", "full"] = "network", where: str = "") -> None:
        """Opens the file, made with mode 600. Raises UserError naming the setting `where`."""
        self._path = path
        self._full = addresses == "full"
        self._floods: dict[tuple[str, ...], _Flood] = {}
        self._beyond = _Flood(0.0)
        self._second, self._spent = 0.0, 0
        self._next = 0.0
        self._lock = threading.Lock()  # a request's thread refuses while another writes counts
        self.lost = 0
        try:
            self._handle = self._open()
        except OSError as error:
            remedy = "give a file in a folder that the server may write to"
            raise UserError(f"{path} cannot be written: {error.strerror}", where=where, remedy=remedy) from error

    def act(
        self, act: str, outcome: str, *, caller: str, client: str = "", trace: Trace = NO_TRACE, **beside: str
    ) -> None:
        """Writes one administrative act, and how it ended."""
        line = {**self._line(act, outcome, caller, client, trace), **beside}
        with self._lock:
            self._write(line)

    def refused(  # noqa: PLR0913 - what an audit asks
        self,
        reason: str,
        now: float,
        *,
        caller: str = "",
        identity: str = "",
        scope: str = "",
        client: str = "",
        trace: Trace = NO_TRACE,
    ) -> None:
        """Writes one refused access, or counts it when it is one of many."""
        line = self._line("access", "refused", caller, client, trace)
        line |= {"reason": reason, "scope": scope, "key": identity}
        with self._lock:
            if now >= self._next:
                self._flush(now)
            self._refused(line, now)

    def flush(self, now: float) -> None:
        """Writes the counts whose second is over."""
        with self._lock:
            self._flush(now)

    def reopen(self) -> None:
        """Goes on in a new file when the old one was moved away or removed, as rotation does."""
        with self._lock:
            self._reopen()

    def close(self) -> None:
        """Writes what waits, and closes the file."""
        with self._lock:
            self._flush(time.monotonic() + 2 * WINDOW_S)
            if self._path is not None:
                os.close(self._handle)
                self._handle = -1

    def _refused(self, line: dict[str, Any], now: float) -> None:
        alike = (line["reason"], line["key"], line["client"])
        flood = self._floods.get(alike)
        if flood is not None:
            flood.add(line)
        elif len(self._floods) < _FLOODS and self._may_write(now):
            self._floods[alike] = _Flood(now + WINDOW_S)
            self._write({**line, "count": 1})
        else:
            self._beyond.add(line)

    def _flush(self, now: float) -> None:
        self._next = now + WINDOW_S
        over = [key for key, flood in self._floods.items() if flood.ends <= now]
        for key in over:
            flood = self._floods.pop(key)
            if flood.count and self._may_write(now):
                self._write(flood.told())
                self._floods[key] = _Flood(now + WINDOW_S)
            elif flood.count:
                self._beyond.add(flood.line, flood.count, flood.since)
        if self._beyond.count and self._beyond.ends <= now:
            self._beyond.ends = now + WINDOW_S
            self._write(self._beyond.told() | {"reason": "many", "caller": "", "key": "", "client": "", "scope": ""})

    def _reopen(self) -> None:
        try:
            if self._path is None or self._handle < 0 or _same(self._handle, self._path):
                return
            old, self._handle = self._handle, self._open()
        except OSError as error:
            log.error("the audit goes on in the old file: %s", error.strerror)  # noqa: TRY400 - says it all
            return
        os.close(old)

    def _line(self, act: str, outcome: str, caller: str, client: str, trace: Trace) -> dict[str, Any]:
        return {
            "time": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds"),
            "audit": act,
            "outcome": outcome,
            "caller": caller,
            "client": client if self._full and truncated(client) else truncated(client),
            "request_id": trace.request_id if _TRACE.fullmatch(trace.request_id) else "",
            "traceparent": trace.traceparent if _TRACE.fullmatch(trace.traceparent) else "",
        }

    def _may_write(self, now: float) -> bool:
        if now >= self._second + WINDOW_S:
            self._second, self._spent = now, 0
        self._spent += 1
        return self._spent <= LINES

    def _write(self, line: dict[str, Any]) -> None:
        """One write for one line, so that lines of several workers do not mix."""
        data = msgspec.json.encode(line) + b"\n"
        try:
            written = os.write(self._handle, data)
        except OSError as error:
            written = 0
            reason = error.strerror
        else:
            reason = "it was written in part"
        if written < len(data):
            self.lost += 1
            if self.lost & (self.lost - 1) == 0:  # said less and less often
                log.error("%d lines of the audit are lost: %s", self.lost, reason)

    def _open(self) -> int:
        if self._path is None:
            return _STDERR
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _same(handle: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(handle), there)
