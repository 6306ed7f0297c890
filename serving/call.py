"""One request on its way through the server: how it is found again, who asks, from where, and since when."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field

from serving.access.caller import NO_CREDENTIALS, Caller, Credentials, Trace

_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_TRACE = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(slots=True)
class Call:
    """`route` is one of a few names, for metrics and logs; `traceparent` is W3C's, empty where the caller gave none;
    `caller` is known once the request has been admitted."""

    route: str
    request_id: str
    traceparent: str = ""
    credentials: Credentials = NO_CREDENTIALS
    peer: str = ""
    caller: Caller | None = None
    started: float = field(default_factory=time.perf_counter)

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self.started

    @property
    def trace(self) -> Trace:
        """What the audit writes down of it."""
        return Trace(self.request_id, self.traceparent)


def request_id(given: str) -> str:
    """The caller's own id where it can be repeated in headers and logs, otherwise a new one."""
    return given if given and _ID.fullmatch(given) else os.urandom(16).hex()


def traceparent(given: str) -> str:
    """The caller's trace with a span of this server's, as W3C Trace Context says; empty for what is no trace."""
    if not given or not _TRACE.fullmatch(given) or given.startswith("ff"):
        return ""
    return f"{given[:36]}{os.urandom(8).hex()}{given[52:]}"
