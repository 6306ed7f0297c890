"""What every HTTP request meets first: who asks, is it allowed, how is it called; then predictions, at once.

A bare ASGI application in front of KServe's: frameworks in between cost more than the prediction does."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

from serving import translation, v1, v2_body
from serving.access.caller import Credentials, Scope
from serving.access.headers import Headers as Constant
from serving.access.headers import security_headers
from serving.call import Call, request_id, traceparent
from serving.desk import Desk
from serving.errors import (
    WHICH_VERSION,
    MediaTypeError,
    NotSupportedError,
    RouteError,
    TooLargeError,
    UnknownModelError,
)

Headers = list[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

JSON = b"application/json"
BINARY = b"application/octet-stream"
DOCS = "/docs"

_PREDICTS = re.compile(
    r"/v1/models/[^/]+:(?:predict|explain)|/v2/models/(?P<model>[^/]+)(?P<version>/versions/[^/]+)?/infer"
)
"""Paths of predictions in both protocols; of this server's model, all but those of a version are found before."""

_LENGTH = v2_body.LENGTH_HEADER.encode()


class DisconnectedError(Exception):
    """The client has gone; nobody waits for an answer."""


@dataclass(slots=True)
class Request:
    """One HTTP request, with its headers by name."""

    path: str
    headers: dict[bytes, bytes]
    call: Call
    receive: Receive
    answered: bool = False


@dataclass(slots=True)
class Response:
    """What goes back."""

    content: bytes
    variant: str = ""
    media: bytes = JSON
    status: int = 200
    headers: Headers | None = None


Handler = Callable[[Request], Awaitable[Response]]


class Front:
    """The application that the server runs. `leaving` makes every answer the last of its connection."""

    def __init__(self, desk: Desk, behind: Any, *, body_limit: int, tls: bool) -> None:
        self._desk, self._behind, self._limit = desk, behind, body_limit
        self._secure, self._secure_docs = security_headers(tls=tls), security_headers(tls=tls, docs=True)
        self.leaving = False
        name = desk.model.name
        self._probes = ("/", f"/v1/models/{name}", f"/v2/models/{name}/ready")
        self._hot: dict[str, tuple[str, Scope, Handler]] = {
            f"/v1/models/{name}:predict": ("v1 predict", "predict", self._predict),
            f"/v1/models/{name}:explain": ("v1 explain", "explain", self._explain),
            f"/v2/models/{name}/infer": ("v2 infer", "predict", self._infer),
        }

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._behind(scope, receive, send)
            return
        path = scope["path"]
        hot = self._hot.get(path)
        headers = dict(scope["headers"])
        request = Request(path, headers, _call(hot[0] if hot else _route(path), scope, headers), receive)
        try:
            if hot is None:
                if not path.isprintable():  # routers take a line's end for the end of a path
                    raise RouteError(HTTPStatus.NOT_FOUND)  # noqa: TRY301
                await self._pass_on(request, scope, send)
                return
            if scope["method"] != "POST":
                raise RouteError(HTTPStatus.METHOD_NOT_ALLOWED, allow="POST")  # noqa: TRY301 - told below like others
            self._desk.admit(request.call, hot[1])
            response = await hot[2](request)
        except DisconnectedError:
            return
        except Exception as error:  # noqa: BLE001 - the last place where a client can be told anything
            response = self._refused(request, error)
        if not request.answered:
            await self._answer(request.call, response, send)

    async def _predict(self, request: Request) -> Response:
        _refuse_media(request, JSON)
        body = await self._body(request)
        asked = await self._desk.read(lambda: v1.read(body), len(body))
        answers = await self._desk.answer(request.call, asked)
        content = await self._desk.rendered(lambda: msgspec.json.encode(v1.render(answers)), answers)
        return Response(content, answers.one_variant)

    async def _explain(self, request: Request) -> Response:
        _refuse_media(request, JSON)
        body = await self._body(request)
        asked = await self._desk.read(lambda: v1.read(body), len(body))
        asked.options = v1.explaining(asked.options)
        answers = await self._desk.answer(request.call, asked)
        content = await self._desk.rendered(lambda: msgspec.json.encode(v1.render_explanations(answers)), answers)
        return Response(content, answers.one_variant)

    async def _infer(self, request: Request) -> Response:
        length = request.headers.get(_LENGTH)
        _refuse_media(request, JSON, *([BINARY] if length else []))
        said = length.decode("latin-1") if length is not None else None
        body = await self._body(request)
        asked = await self._desk.read(lambda: v2_body.read(body, said, self._desk.model.name), len(body))
        answers = await self._desk.answer(request.call, asked)
        content, size = await self._desk.rendered(lambda: v2_body.render(answers, asked), answers)
        if size is None:
            return Response(content, answers.one_variant)
        return Response(content, answers.one_variant, BINARY, headers=[(_LENGTH, str(size).encode())])

    async def _body(self, request: Request) -> bytes:
        """The body, not kept beyond the limit. Raises TooLargeError."""
        declared = request.headers.get(b"content-length")
        if declared is not None and int(declared) > self._limit:
            raise self._too_large()
        receive = self._bounded(request)
        message = await receive()
        if not message.get("more_body"):
            return message.get("body", b"")  # type: ignore[no-any-return]
        parts = [message["body"]]
        while message.get("more_body"):
            message = await receive()
            parts.append(message.get("body", b""))
        return b"".join(parts)

    def _bounded(self, request: Request) -> Receive:
        """`receive`, up to the limit."""
        received = 0

        async def receive() -> dict[str, Any]:
            nonlocal received
            message = await request.receive()
            if message["type"] != "http.request":
                raise DisconnectedError
            received += len(message.get("body", b""))
            if received > self._limit:
                raise self._too_large()
            return message

        return receive

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"the body is larger than {self._limit} bytes", headers={"connection": "close"})

    async def _pass_on(self, request: Request, scope: dict[str, Any], send: Send) -> None:
        """KServe's own routes, and those that describe the model."""
        needed = self._scope_of(scope["method"], request.path)
        if needed is not None:
            self._desk.admit(request.call, needed)
        declared = request.headers.get(b"content-length")
        if declared is not None and int(declared) > self._limit:
            raise self._too_large()
        if scope["method"] == "POST" and (asked := _PREDICTS.fullmatch(request.path)):
            if asked["version"] and asked["model"] == self._desk.model.name:
                raise NotSupportedError(WHICH_VERSION)
            raise UnknownModelError("this server has no model of that name")
        await self._behind(scope | {"churn.call": request.call}, self._bounded(request), self._watched(request, send))

    def _scope_of(self, method: str, path: str) -> Scope | None:
        """What a route behind needs; None for probes and what Prometheus scrapes, which say nothing of customers."""
        if method == "GET" and (path in self._probes or path == "/metrics" or path.startswith("/v2/health/")):
            return None
        return "admin" if path.startswith("/v2/repository/") and method == "POST" else "predict"

    def _watched(self, request: Request, send: Send) -> Send:
        """`send` with the headers that every answer has."""

        async def watched(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                secure = self._secure_docs if request.path == DOCS else self._secure
                message = message | {"headers": [*message.get("headers", ()), *self._common(request.call, secure)]}
                self._desk.ended(request.call, message["status"])
                request.answered = True
            await send(message)

        return watched

    def _refused(self, request: Request, error: Exception) -> Response:
        refusal = self._desk.refuse(request.call, error)
        body = translation.rest_body(refusal, open_inference=request.path.startswith("/v2"))
        headers = [(name.encode(), value.encode()) for name, value in refusal.headers.items()]
        return Response(msgspec.json.encode(body), status=refusal.status, headers=headers)

    async def _answer(self, call: Call, response: Response, send: Send) -> None:
        headers: Headers = [
            (b"content-type", response.media),
            (b"content-length", str(len(response.content)).encode()),
            *self._common(call, self._secure),
            *(response.headers or ()),
        ]
        self._desk.ended(call, response.status, response.variant)
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.content})

    def _common(self, call: Call, secure: Constant) -> Headers:
        headers: Headers = [(b"x-request-id", call.request_id.encode()), *secure]
        if call.traceparent:
            headers.append((b"traceparent", call.traceparent.encode()))
        if call.caller is not None:
            headers += call.caller.rate_headers()
        if self.leaving:
            headers.append((b"connection", b"close"))
        return headers


def _call(route: str, scope: dict[str, Any], headers: dict[bytes, bytes]) -> Call:
    return Call(
        route,
        request_id(headers.get(b"x-request-id", b"").decode("latin-1")),
        traceparent(headers.get(b"traceparent", b"").decode("latin-1")),
        Credentials.of(scope["headers"]),
        scope["client"][0] if scope["client"] else "",
    )


def _route(path: str) -> str:
    """A few names for the routes behind."""
    if path.startswith("/v2/health/") or path.endswith("/ready"):
        return "health"
    if path.startswith("/v2/repository/"):
        return "repository"
    return "metrics" if path == "/metrics" else "other"


def _refuse_media(request: Request, *known: bytes) -> None:
    """A body that does not say what it is counts as JSON."""
    if request.headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise MediaTypeError("send the body as it is, without a content-encoding")
    given = request.headers.get(b"content-type", JSON)
    if given != JSON and given.partition(b";")[0].strip().lower() not in known:
        raise MediaTypeError(f"send the body as {' or '.join(one.decode() for one in known)}")
