"""Clients that offer another protocol with their request, as Java's do with HTTP/2, are answered in this one."""

from __future__ import annotations

import json
import socket
import time
from contextlib import suppress

import pytest

from tests import bundles
from tests.predictors import Predictor

BODY = json.dumps({"instances": [bundles.CUSTOMER]}).encode()
OFFERS = {
    "HTTP/2": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
    "a web socket": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
    "what nobody knows": b"Connection: keep-alive, upgrade\r\nupgrade: foo\r\n",
}


def request(offer: bytes, body: bytes, own: str, *, chunked: bool = False) -> bytes:
    length = b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: %d\r\n" % len(body)
    head = b"POST /v1/models/shop:predict HTTP/1.1\r\nHost: x\r\nX-Request-Id: %b\r\n" % own.encode()
    content = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    return head + offer + length + b"\r\n" + content


def conversed(predictor: Predictor, *parts: bytes, quiet_s: float = 0.5) -> bytes:
    """All that comes back until nothing does any more, or the server hangs up."""
    received = b""
    with socket.create_connection(("127.0.0.1", predictor.http_port), timeout=30) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.05 if len(parts) > 1 else 0)
        with suppress(TimeoutError):
            while part := connection.recv(65_536):
                received += part
                connection.settimeout(quiet_s)
    return received


def answers(predictor: Predictor, *parts: bytes) -> list[tuple[bytes, bytes]]:
    """First line and request id of each answer; all of them hold predictions."""
    found = []
    received = conversed(predictor, *parts)
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
        own = next(line.split(b": ")[1] for line in lines if line.startswith(b"x-request-id:"))
        assert b'"predictions"' in received[:length], received
        found.append((lines[0], own))
        received = received[length:]
    return found


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("offer", OFFERS)
def test_the_request_is_answered_as_if_nothing_had_been_offered(
    predictor: Predictor, offer: str, chunked: bool
) -> None:
    sent = request(OFFERS[offer], BODY, "mine", chunked=chunked)
    whole = [(b"http/1.1 200 ok", b"mine")]
    head, body = sent.split(b"\r\n\r\n", 1)
    assert answers(predictor, sent) == whole
    assert answers(predictor, head + b"\r\n\r\n", body) == whole
    assert answers(predictor, sent[:60], sent[60:-20], sent[-20:]) == whole


def test_a_body_is_never_taken_for_a_request(predictor: Predictor) -> None:
    hidden = BODY + b" " * 100 + b"\r\n\r\n"
    hidden = request(b"", BODY, "hidden") + hidden
    received = conversed(predictor, request(OFFERS["HTTP/2"], hidden, "outer")).lower()
    assert received.startswith(b"http/1.1 400 ")
    assert b"x-request-id: outer" in received
    assert received.count(b"x-request-id") == 1


def test_offers_may_follow_each_other(predictor: Predictor) -> None:
    offers = [*OFFERS.values(), b""] * 5
    sent = [request(offer, BODY, str(number)) for number, offer in enumerate(offers)]
    assert answers(predictor, b"".join(sent)) == [(b"http/1.1 200 ok", b"%d" % number) for number in range(20)]


def test_an_offer_costs_no_line_of_the_servers_log(predictor: Predictor) -> None:
    before = predictor.said()
    assert answers(predictor, request(OFFERS["a web socket"], BODY, "quiet"))
    assert "pgrade" not in predictor.said()[len(before) :]


def test_it_is_no_proxy(predictor: Predictor) -> None:
    asked = b"CONNECT elsewhere:443 HTTP/1.1\r\nHost: elsewhere:443\r\n\r\nGET / HTTP/1.1\r\n\r\n"
    received = conversed(predictor, asked)
    assert received.startswith(b"HTTP/1.1 501 ")
    assert received.count(b"HTTP/1.1") == 1
    assert predictor.ready()
