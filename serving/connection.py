"""An HTTP connection that does not wait for ever: a request must arrive, and its answer be taken, within some seconds.

What a client may send beside a body is bounded too: the parser below has no limits of its own."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import sys
import termios
from http import HTTPStatus
from typing import Any, ClassVar

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.access.headers import security_headers
from serving.call import request_id
from serving.errors import RequestError, UnavailableError
from serving.translation import rest_body

_MOST_BESIDE = 64 * 1024
"""Bytes of a request before its body, between two parts of it (chunks have extensions), and behind it (trailers)."""

_PROGRESS = 64 * 1024
"""Bytes of an answer that a client takes while the clock runs, unless half of what is left is less."""


_GOODBYE_S = 1.0
"""While the server leaves, that clock is faster."""


_OFFERS = (b"upgrade", b"http2-settings")


class _TooLargeError(Exception):
    pass


class Connection(HttpToolsProtocol):
    """uvicorn's connection with two clocks, one while a request arrives, one while an answer is not taken."""

    receive_s: ClassVar[float] = 10.0
    most: ClassVar[int] = 10_000

    def __init__(self, *parts: Any, **named: Any) -> None:
        super().__init__(*parts, **named)
        self._arriving = self._in_headers = False
        self._received = self._trailers = 0
        self._clock: asyncio.TimerHandle | None = None
        self._older = True  # the clock began before the request that is arriving did
        self._unread: asyncio.TimerHandle | None = None
        self._left = 0
        self._leaving = False
        self._read = self._again = b""

    @staticmethod
    def refused(status: int) -> None:
        """Is told the status of each answer that is given here, and not by the application."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client who connects has to ask something; one too many is sent away."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self._refuse(UnavailableError("too many connections are open"))
        else:
            self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        """The clocks of a client who has left stop."""
        self._stop()
        self._stop_unread()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """The next part of a request: whole at once in most cases, so that no clock is ever started."""
        self._received += len(data)
        while data and not self.transport.is_closing():
            self._read, self._again = data, b""
            super().data_received(data)
            data = self._again
        if self.transport.is_closing():
            return
        if not self._arriving:
            self._between()
        elif self._received > _MOST_BESIDE:
            self._refuse_headers()
        elif self._clock is None or self._older:
            self._stop()
            self._start()
            self._older = False

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._arriving = self._in_headers = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header. Those that come behind the body are nobody's: who asks was decided by the others."""
        if self._in_headers:
            super().on_header(name, value)
            return
        self._trailers += len(name) + len(value)
        if self._trailers > _MOST_BESIDE:
            raise _TooLargeError

    def on_headers_complete(self) -> None:
        """The body comes next. Headers that came at once, with part of it, are measured by themselves."""
        if self._received > _MOST_BESIDE and self._size_of_headers() > _MOST_BESIDE:
            raise _TooLargeError
        if self.parser.should_upgrade():  # the parser ends here; it begins anew in `_unsupported_upgrade_warning`
            return
        self._in_headers = False
        self._received = self._trailers = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body, whose size the application limits."""
        self._received = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All is there."""
        if self.parser.should_upgrade():
            return
        self._arriving = False
        self._older = True
        self._received = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer has been written; one that is the last must also be taken."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch()

    def pause_writing(self) -> None:
        """An answer is not taken as fast as it is written."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """It has been taken, but for a little."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._stop_unread()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing more is asked. What was answered may still be waiting to be taken."""
        super().timeout_keep_alive_handler()
        self._watch()

    def shutdown(self) -> None:
        """The server leaves, and does not wait for a client who takes nothing."""
        self._leaving = True
        super().shutdown()
        self._stop_unread()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP, or too much of it: the parser makes one error of whatever its callbacks raise."""
        del msg
        error = sys.exception()
        if error is not None and isinstance(error.__context__, _TooLargeError):
            self._refuse_headers()
        else:
            self._refuse(_refusal(HTTPStatus.BAD_REQUEST, "malformed", "this is not HTTP/1.1"))

    def _unsupported_upgrade_warning(self) -> None:
        """A client offers another protocol, as Java's does with HTTP/2: the request is read again without the offer,
        which a server may ignore (RFC 9110, 7.8). The parser has ended with its headers, and would take its body for
        the next request."""
        offer = sys.exception()
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT" or not isinstance(offer, httptools.HttpParserUpgrade):
            self._refuse(_refusal(HTTPStatus.NOT_IMPLEMENTED, "not_supported", "this is no proxy"))
            return
        kept = [b"%b: %b\r\n" % header for header in self.headers if header[0] not in _OFFERS]
        head = b"".join([b"%b %b HTTP/%b\r\n" % (method, self.url, version), *kept, b"\r\n"])
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self._again = head + self._read[offer.args[0] :]

    def _between(self) -> None:
        """A request is there; or bytes came that begin none, and with them went the time that uvicorn had set."""
        self._received = 0
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._clock is None:
            self._start()

    def _size_of_headers(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _start(self) -> None:
        self._clock = self.loop.call_later(self.receive_s, self._late)

    def _stop(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _late(self) -> None:
        self._clock = None
        if self._arriving:
            problem = f"the request did not arrive within {self.receive_s:g} s"
            self._refuse(_refusal(HTTPStatus.REQUEST_TIMEOUT, "timeout", problem))
        elif self.cycle is None or self.cycle.response_complete:
            self.transport.close()
            self._watch()

    def _watch(self) -> None:
        """Gives the client time to take what is waiting for it."""
        self._left = _untaken_bytes(self.transport)
        if self._left and self._unread is None:
            patience = min(_GOODBYE_S, self.receive_s) if self._leaving else self.receive_s
            self._unread = self.loop.call_later(patience, self._untaken)

    def _stop_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _untaken(self) -> None:
        """Hangs up on a client who takes nothing, or hardly anything; what was to be said is dropped."""
        self._unread = None
        before = self._left
        self._watch()
        if self._left and before - self._left < min(_PROGRESS, before // 2):
            self.transport.abort()

    def _refuse_headers(self) -> None:
        problem = "the headers are larger than 64 KiB"
        self._refuse(_refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", problem))

    def _refuse(self, refusal: RequestError) -> None:
        """Says why, where nothing has been said yet, and hangs up."""
        if self._unanswered():
            self.transport.write(self._answer(refusal))
            self.refused(refusal.status)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()
        self._watch()

    def _unanswered(self) -> bool:
        """Whether the next answer that the client waits for is the one to what is refused."""
        if self.cycle is None:
            return True
        if self._arriving and not self._in_headers:
            return not self.cycle.response_started and not self.pipeline
        return self.cycle.response_complete or not (self.cycle.response_started or self.pipeline)

    def _answer(self, refusal: RequestError) -> bytes:
        """In the form of the application's own refusals; what is not known of the request yet is made up."""
        url, headers = (self.url, dict(self.headers)) if self._arriving else (b"", {})
        body = msgspec.json.encode(rest_body(refusal, open_inference=url.startswith(b"/v2")))
        own = request_id(headers.get(b"x-request-id", b"").decode("latin-1"))
        lines = [
            f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            "connection: close",
            f"x-request-id: {own}",
            *(f"{name}: {value}" for name, value in refusal.headers.items()),
        ]
        secure = b"".join(b"%b: %b\r\n" % one for one in security_headers(tls=self.scheme == "https"))
        return "\r\n".join([*lines, ""]).encode("latin-1") + secure + b"\r\n" + body


def _untaken_bytes(transport: asyncio.Transport) -> int:
    """What waits in this process for the client, and then also what the system holds, which takes megabytes at once:
    without it, a slow client seems to take nothing for a while. 0 where this process has handed over everything."""
    own = transport.get_write_buffer_size()
    if not own:
        return 0
    held = bytearray(4)
    with contextlib.suppress(OSError):
        fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, held)
    return own + int.from_bytes(held, sys.byteorder)


def _refusal(status: HTTPStatus, code: str, message: str) -> RequestError:
    refusal = RequestError(message)
    refusal.status, refusal.code = status.value, code
    return refusal
