"""The server's own log: JSON, one object a line, one line a request at most; no personal data and no secrets."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import msgspec

from serving.call import Call
from serving.settings import Said


class Journal:
    """Says what became of requests: of those that were `refused` (4xx, 5xx), of `all`, or of `none`."""

    def __init__(self, said: Said) -> None:
        self._from = {"refused": 400, "all": 0, "none": 1000}[said]

    def request(self, call: Call, status: int) -> None:
        """One line, if this kind is told."""
        if status < self._from:
            return
        line = {
            "time": now(),
            "level": "ERROR" if status == HTTPStatus.INTERNAL_SERVER_ERROR else "INFO",
            "logger": "serving.request",
            "route": call.route,
            "status": status,
            "ms": round(call.elapsed * 1000, 2),
            "caller": call.caller.label if call.caller is not None else "",
            "request_id": call.request_id,
        }
        if call.traceparent:
            line["traceparent"] = call.traceparent
        sys.stderr.buffer.write(msgspec.json.encode(line) + b"\n")
        sys.stderr.buffer.flush()


class Lines(logging.Formatter):
    """Log records as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever is in the message."""
        line: dict[str, object] = {"time": now(), "level": record.levelname, "logger": record.name}
        line["message"] = record.getMessage()
        if record.exc_info:
            line["exception"] = _unfolded(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False)


def _unfolded(error: BaseException | None) -> list[str]:
    """Where it happened, and of what kind: an exception's own text may repeat what a customer sent."""
    found = []
    while error is not None:
        stack = traceback.extract_tb(error.__traceback__)
        found.append(
            f"{type(error).__name__} at " + " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(stack))
        )
        error = error.__cause__ or error.__context__
    return found


def now() -> str:
    """The time in UTC, to the millisecond."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
