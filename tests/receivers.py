"""Receivers of notices, as real servers on this machine: Slack's and PagerDuty's by their documentation, and a mail
server. What a service would refuse they refuse; for each of `faults`, taken from the front, a request goes wrong."""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import default
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from tests.servers import free_port

WEBHOOK = "/services/T0AAA/B0BBB/notasecretoutsidetests"
ROUTING_KEY = "0123456789abcdef0123456789abcdef"

_MARKUP = re.compile(r"[<>]|&(?!amp;|lt;|gt;)")

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Receiver:
    """A service over HTTP: what it took, and what it was asked in all."""

    address: str = ""
    faults: list[str] = field(default_factory=list)
    came: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def open_incidents(self) -> set[str]:
        """PagerDuty's, by their keys."""
        found: set[str] = set()
        for event in self.came:
            found = found - {event["dedup_key"]} if event["event_action"] == "resolve" else found | {event["dedup_key"]}
        return found


@contextmanager
def slack_receiver(faults: list[str] | None = None) -> Iterator[Receiver]:
    """An incoming webhook at `address`."""
    with _receiver(_slack, WEBHOOK, faults) as receiver:
        yield receiver


@contextmanager
def pagerduty_receiver(faults: list[str] | None = None) -> Iterator[Receiver]:
    """The Events API v2 at `address`; `ROUTING_KEY` is the one integration it knows."""
    with _receiver(_pagerduty, "/v2/enqueue", faults) as receiver:
        yield receiver


@contextmanager
def _receiver(take: Callable[[dict[str, Any]], Answer], path: str, faults: list[str] | None) -> Iterator[Receiver]:
    receiver = Receiver(faults=faults or [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, receiver, take, path))
    server.daemon_threads = True
    receiver.address = f"http://127.0.0.1:{server.server_port}{path}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, receiver: Receiver, take: Callable[[dict[str, Any]], Answer], path: str, *rest: Any) -> None:
        self._receiver, self._take, self._path = receiver, take, path
        super().__init__(*rest)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._receiver.asked += 1
        fault = self._receiver.faults.pop(0) if self._receiver.faults else ""
        if fault == "hang":
            self._receiver.released.wait(60)
            return
        if fault == "hang up":
            self.close_connection = True
            return
        self._answer(*self._answered(fault, body))

    def _answered(self, fault: str, body: bytes) -> Answer:
        if fault:
            status, _, more = fault.partition(" ")
            if more.startswith("to "):
                return int(status), {"Location": more.removeprefix("to ")}, b""
            headers = {"Retry-After": more} if more else {}
            return int(status), headers, f"no: {self.path}".encode()
        if self.path != self._path:
            return 404, {}, b"no_service"
        if self.headers["Content-Type"] != "application/json":
            return 400, {}, b"invalid_payload"
        document = json.loads(body)
        answer = self._take(document)
        if answer[0] < 300:
            self._receiver.came.append(document)
        return answer

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def _slack(document: dict[str, Any]) -> Answer:
    if not document.get("text"):
        return 400, {}, b"no_text"
    blocks = document.get("blocks", [])
    texts = [document["text"]]
    if not document.keys() <= {"text", "blocks", "mrkdwn"} or len(blocks) > 50:
        return 400, {}, b"invalid_payload"
    for block in blocks:
        most = {"header": 150, "section": 3000}.get(block["type"], 0)
        said = block["text"]
        if said["type"] != "plain_text" or not 0 < len(said["text"]) <= most:
            return 400, {}, b"invalid_blocks"
        texts.append(said["text"])
    if any(_MARKUP.search(text) for text in texts):
        return 400, {}, b"a character that has to be an entity"
    return 200, {}, b"ok"


def _pagerduty(event: dict[str, Any]) -> Answer:
    faults = []
    if len(event.get("routing_key", "")) != 32:
        faults.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    if event.get("event_action") not in {"trigger", "acknowledge", "resolve"}:
        faults.append("'event_action' is unknown")
    if not 0 < len(event.get("dedup_key", "")) <= 255 or len(json.dumps(event)) > 512 * 1024:
        faults.append("'dedup_key' is missing or too long, or all of it is")
    if event.get("event_action") == "trigger":
        payload = event.get("payload", {})
        if not payload.get("source") or payload.get("severity") not in {"critical", "error", "warning", "info"}:
            faults.append("'payload' lacks what is required")
        if not 0 < len(payload.get("summary", "")) <= 1024:
            faults.append("'payload.summary' is missing or too long")
    if faults:
        return 400, {}, json.dumps({"status": "invalid event", "message": "is invalid", "errors": faults}).encode()
    if event["routing_key"] != ROUTING_KEY:
        return 400, {}, f"no integration {event['routing_key']}".encode()
    return 202, {}, json.dumps({"status": "success", "dedup_key": event["dedup_key"]}).encode()


@dataclass
class Mailbox:
    """A mail server on `port`: the letters it took, each with who was to get it, and whether it came over TLS."""

    port: int
    letters: list[Message] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    users: list[bytes] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd looks for this name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address in self.refused:
            return "550 nobody of this name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - likewise
        if self.faults:
            return self.faults.pop(0)
        self.letters.append(message_from_bytes(envelope.content, policy=default))
        self.recipients.append(envelope.rcpt_tos)
        self.encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
        return "250 OK"


@contextmanager
def mail_server(
    tls: ssl.SSLContext | None = None, *, starttls: bool = True, user: str = "", password: str = ""
) -> Iterator[Mailbox]:
    """A mail server; with `tls` it offers STARTTLS, or begins with TLS. With a user it takes nothing from others."""
    mailbox = Mailbox(free_port())

    def authenticated(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: LoginPassword) -> AuthResult:
        mailbox.users.append(given.login)
        return AuthResult(success=(given.login, given.password) == (user.encode(), password.encode()), handled=False)

    options: dict[str, Any] = {"hostname": "127.0.0.1", "port": mailbox.port}
    if user:
        options |= {
            "authenticator": authenticated,
            "auth_required": True,
            "auth_require_tls": tls is not None and starttls,
        }
    if tls and starttls:
        options |= {"tls_context": tls, "require_starttls": True}
    elif tls:
        options["ssl_context"] = tls
    controller = Controller(mailbox, **options)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()
