"""An HTTP connection that does not wait for ever: what has begun to arrive must be there within some seconds."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, ClassVar

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST_HEADERS = 64 * 1024
"""Bytes of a request before its body; HTTP's parser has no limit of its own."""


class _TooLargeError(Exception):
    pass


class Connection(HttpToolsProtocol):
    """uvicorn's connection, with a clock that runs while a request is arriving."""

    receive_s: ClassVar[float] = 10.0

    def __init__(self, *parts: Any, **named: Any) -> None:
        super().__init__(*parts, **named)
        self._arriving = self._in_headers = False
        self._received = 0
        self._clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client who connects has to ask something."""
        super().connection_made(transport)
        self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        """The clock of a client who has left stops."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """The next part of a request: whole at once in most cases, so that no clock is ever started."""
        if self._in_headers or not self._arriving:
            self._received += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if not self._arriving:
            self._stop()
        elif self._in_headers and self._received > _MOST_HEADERS:
            self._refuse_headers()
        elif self._clock is None:
            self._start()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._arriving = self._in_headers = True

    def on_headers_complete(self) -> None:
        """The body comes next. Headers that came at once, with part of it, are measured by themselves."""
        if self._received > _MOST_HEADERS and self._size_of_headers() > _MOST_HEADERS:
            raise _TooLargeError
        self._in_headers = False
        self._received = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All is there."""
        self._arriving = False
        self._received = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP, or too much of it: the parser makes one error of whatever its callbacks raise."""
        del msg
        error = sys.exception()
        if error is not None and isinstance(error.__context__, _TooLargeError):
            self._refuse_headers()
        else:
            self._refuse(400, "malformed", "this is not HTTP/1.1")

    def _size_of_headers(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _refuse_headers(self) -> None:
        self._refuse(431, "headers_too_large", "the headers are larger than 64 KiB")

    def _start(self) -> None:
        self._clock = self.loop.call_later(self.receive_s, self._late)

    def _stop(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _late(self) -> None:
        self._clock = None
        if self._arriving:
            self._refuse(408, "timeout", f"the request did not arrive within {self.receive_s:g} s")
        else:
            self.transport.close()

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Says why, where nothing has been said yet, and hangs up."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = msgspec.json.encode({"error": {"code": code, "message": message, "details": []}})
            head = f"HTTP/1.1 {status} {_PHRASES[status]}\r\ncontent-type: application/json\r\n"
            self.transport.write(f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
        self.transport.close()


_PHRASES = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}
