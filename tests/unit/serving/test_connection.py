"""Clients who do not keep to what is usual, against a server with little patience, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
import uvicorn
import uvloop

from serving import handles
from serving.access.tls import Tls, TlsOptions
from serving.connection import Connection
from serving.listening import Listener
from tests.certificates import Authority

PATIENCE_S = 0.5
WAIT_S = 20
LARGE = 64 * 2**20
POST = b"POST / HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n"


class Served:
    """A server with an application that says which headers it was given, and how long the body was."""

    def __init__(self, tls: ssl.SSLContext | None = None, most: int = 100) -> None:
        self.refused: list[int] = []
        patience = {"receive_s": PATIENCE_S, "most": most, "refused": staticmethod(self.refused.append)}
        config = uvicorn.Config(self._answer, http=type("Connection", (Connection,), patience), interface="asgi3")
        config.lifespan, config.ws, config.proxy_headers, config.access_log = "off", "none", False, False
        config.load()
        config.ssl = tls
        self.bound = socket.create_server(("127.0.0.1", 0))
        self.port = self.bound.getsockname()[1]
        self._listener = Listener(config, PATIENCE_S)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + WAIT_S
        while not self._listener.started:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> float:
        """Ends it; gives the seconds that it took."""
        started = time.monotonic()
        self._listener.should_exit = True
        self._thread.join(2 * WAIT_S)
        assert not self._thread.is_alive()
        return time.monotonic() - started

    @contextlib.contextmanager
    def connected(self, *sent: bytes) -> Iterator[socket.socket]:
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(WAIT_S)
            connection.connect(("127.0.0.1", self.port))
            for part in sent:
                connection.sendall(part)
            yield connection

    @property
    def open(self) -> int:
        return len(self._listener.server_state.connections)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._listener._serve(sockets=[self.bound]))

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        size, more = 0, scope["path"] != "/refused"
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            size, more = size + len(message["body"]), message["more_body"]
        names = [name.decode() for name, _ in scope["headers"]]
        body = b" " * LARGE if scope["path"] == "/large" else json.dumps({"headers": names, "size": size}).encode()
        status = 415 if scope["path"] == "/refused" else 200
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-length", str(len(body)).encode())],
            }
        )
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def served() -> Iterator[Served]:
    with Served() as served:
        yield served


def rest(connection: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65_536):
            found += part
    return found


def answers(text: bytes) -> list[int]:
    return [int(part[:3]) for part in text.split(b"HTTP/1.1 ")[1:]]


def answered(connection: socket.socket) -> Any:
    found = b""
    while not found.endswith(b"}"):
        part = connection.recv(65_536)
        assert part, found
        found += part
    head, _, body = found.partition(b"\r\n\r\n")
    assert answers(head) == [200]
    return json.loads(body)


def wait_for(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_trailers_are_nobodys_headers(served: Served) -> None:
    with served.connected(CHUNKED, b"0\r\nX-Api-Key: stolen\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n") as connection:
        expected = {"headers": ["host", "x-request-id", "transfer-encoding"], "size": 4}
        assert answered(connection) == expected
        connection.sendall(CHUNKED + b"0\r\n\r\n")
        assert answered(connection) == expected


@pytest.mark.parametrize(
    ("start", "again"),
    [
        (b"0\r\n", b"X-Trailer: " + b"a" * 100 + b"\r\n"),
        (b"0\r\nX-Trailer: ", b"a" * 1000),
        (b"1;ext=", b"a" * 1000),
        (b"0\r\n", b"X-Trailer: " + b"a" * 60_000 + b"\r\n"),
    ],
    ids=["many trailers", "one trailer", "an extension", "large trailers"],
)
def test_what_comes_beside_the_body_is_limited(served: Served, start: bytes, again: bytes) -> None:
    with served.connected(CHUNKED + start) as connection:
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < LARGE:
                sent += connection.send(again)
        assert sent < LARGE, "it went on listening"
        assert answers(rest(connection)) in ([431], []), "reset, where more was on its way"
    assert served.refused == [431]


def test_a_body_may_come_in_any_number_of_chunks(served: Served) -> None:
    with served.connected(CHUNKED, *[b"1;x=y\r\na\r\n" * 1000] * 30, b"0\r\n\r\n") as connection:
        assert answered(connection)["size"] == 30_004


def test_a_handshake_has_to_end(tmp_path: Path) -> None:
    authority = Authority()
    tls = Tls(TlsOptions(*authority.issue(tmp_path))).ssl_context()
    with Served(tls) as served:
        started = time.monotonic()
        with served.connected(b"\x16\x03\x01") as connection:
            assert rest(connection) == b""
        assert PATIENCE_S * 0.9 < time.monotonic() - started < WAIT_S
        context = ssl.create_default_context(cadata=authority.pem.decode())
        with served.connected() as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            connection.sendall(POST + b"Content-Length: 4\r\n\r\nbody")
            assert answered(connection)["size"] == 4


def test_who_does_not_take_an_answer_loses_it(served: Served) -> None:
    with served.connected(POST.replace(b"/", b"/large", 1) + b"Content-Length: 0\r\n\r\n") as connection:
        wait_for(lambda: served.open == 1)
        wait_for(lambda: served.open == 0)
        assert len(rest(connection)) < LARGE


def test_who_takes_an_answer_slowly_gets_all_of_it(served: Served) -> None:
    with served.connected(POST.replace(b"/", b"/large", 1) + b"Content-Length: 0\r\n\r\n") as connection:
        started, taken = time.monotonic(), 0
        while time.monotonic() - started < 4 * PATIENCE_S:
            taken += len(connection.recv(65_536))
            time.sleep(0.01)
        while taken < LARGE:
            part = connection.recv(2**20)
            assert part
            taken += len(part)


def test_nobody_is_waited_for_who_takes_nothing(tmp_path: Path) -> None:
    request = POST.replace(b"/", b"/large", 1) + b"Connection: close\r\nContent-Length: 0\r\n\r\n"
    tls = Tls(TlsOptions(*Authority().issue(tmp_path))).ssl_context()
    for context in (None, tls):
        with Served(context) as served, contextlib.ExitStack() as stack:
            plain = stack.enter_context(served.connected())
            trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
            connection = trusting.wrap_socket(plain) if context else plain
            connection.sendall(request)
            connection.recv(100)
            assert served.leave() < WAIT_S / 2
            connection.close()


def test_one_connection_too_many_is_sent_away() -> None:
    with Served(most=3) as served, contextlib.ExitStack() as stack:
        kept = [stack.enter_context(served.connected(CHUNKED + b"0\r\n\r\n")) for _ in range(3)]
        for connection in kept:
            assert answered(connection)["size"] == 4
        with served.connected() as connection:
            refusal = rest(connection)
            assert answers(refusal) == [503]
            assert b"retry-after: 1\r\n" in refusal
        kept[0].sendall(CHUNKED + b"0\r\n\r\n")
        assert answered(kept[0])["size"] == 4
        kept[0].close()
        wait_for(lambda: served.open == 2)
        with served.connected(CHUNKED + b"0\r\n\r\n") as connection:
            assert answered(connection)["size"] == 4
    assert served.refused == [503]


def test_a_request_is_refused_once(served: Served) -> None:
    refused = POST.replace(b"/", b"/refused", 1)
    with served.connected(refused + b"Content-Length: 100\r\n\r\n") as connection:
        assert answers(rest(connection)) == [415]
    with served.connected(refused + b"Transfer-Encoding: chunked\r\n\r\n") as connection:
        first = connection.recv(65_536)
        connection.sendall(b"nonsense\r\n")
        assert answers(first + rest(connection)) == [415]
    assert served.refused == []


def test_a_refused_body_that_arrives_late_leaves_a_connection_that_ends(served: Served) -> None:
    with served.connected(POST.replace(b"/", b"/refused", 1) + b"Content-Length: 4\r\n\r\n") as connection:
        assert answers(connection.recv(65_536)) == [415]
        connection.sendall(b"body" + CHUNKED + b"0\r\n\r\n")
        assert answered(connection)["size"] == 4
    with served.connected(POST.replace(b"/", b"/refused", 1) + b"Content-Length: 4\r\n\r\n") as connection:
        assert answers(connection.recv(65_536)) == [415]
        connection.sendall(b"body")
        assert rest(connection) == b""


def test_line_ends_do_not_keep_a_connection(served: Served) -> None:
    with served.connected(b"\r\n") as connection:
        assert rest(connection) == b""
    with served.connected(CHUNKED + b"0\r\n\r\n") as connection:
        assert answered(connection)["size"] == 4
        connection.sendall(b"\r\n")
        assert rest(connection) == b""


def test_the_clock_of_a_request_begins_with_it(served: Served) -> None:
    with served.connected() as connection:
        time.sleep(0.8 * PATIENCE_S)
        connection.sendall(CHUNKED)
        time.sleep(0.6 * PATIENCE_S)
        connection.sendall(b"0\r\n\r\n")
        assert answered(connection)["size"] == 4


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"X" * 10 + b"\0\r\n\r\n", 400, "malformed"),
        (POST + b"X-Half: ", 408, "timeout"),
        (POST + b"X-Large: " + b"a" * 70_000, 431, "headers_too_large"),
    ],
)
def test_refusals_look_like_the_applications(served: Served, sent: bytes, status: int, code: str) -> None:
    known = status != 400
    for path in (b"/v1/models", b"/v2/models"):
        with served.connected(sent.replace(b"POST /", b"POST " + path, 1)) as connection:
            head, _, content = rest(connection).partition(b"\r\n\r\n")
        assert answers(head) == [status]
        assert b"\r\nx-content-type-options: nosniff" in head
        assert (b"\r\nx-request-id: mine" if known else b"\r\nx-request-id: ") in head
        body = json.loads(content)
        if known and path.startswith(b"/v2"):
            assert isinstance(body["error"], str)
            assert body["code"] == code
        else:
            assert body["error"]["code"] == code
    assert served.refused == [status, status]


def test_a_worker_may_open_as_many_files_as_the_system_grants() -> None:
    import resource

    before = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, soft), hard))
        granted = handles.raise_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (granted, hard)
        assert granted >= min(soft, 65_536)
        assert handles.raise_limit() == granted
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert handles.most_connections(900) == 300
    assert handles.most_connections(10**6) == handles.MOST_CONNECTIONS
