"""v1 and v2 over HTTP: raw routes for predictions in front of KServe's own, and one form for every error."""

from __future__ import annotations

import asyncio
from socket import socket
from typing import Any

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from serving import translation, v2_body
from serving.documents import parse
from serving.errors import ForbiddenError, MediaTypeError
from serving.stock import RESTServer, metrics_handler, register_v1_endpoints, register_v2_endpoints

JSON = "application/json"
BINARY = "application/octet-stream"


class RestServer(RESTServer):  # type: ignore[misc]
    """KServe's server on a socket that is bound already, and quiet."""

    def __init__(self, data_plane: Any, repository: Any, bound: socket, grace_period: int) -> None:
        super().__init__("", data_plane, repository, http_port=bound.getsockname()[1], grace_period=grace_period)
        self.config.access_log = False
        self.config.app = self._application()
        self._socket = bound

    async def start(self) -> None:
        """Serves until a signal, or `leave`."""
        await self._server.serve(sockets=[self._socket])

    async def started(self) -> None:
        """Comes back when connections are taken."""
        while not self._server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
            await asyncio.sleep(0.01)

    def leave(self) -> None:
        """Takes no more connections, and ends when those there are have been answered."""
        self._server.should_exit = True

    def _application(self) -> FastAPI:
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        app.add_route("/v1/models/{model_name}:predict", self._predict, methods=["POST"])
        app.add_route("/v2/models/{model_name}/infer", self._infer, methods=["POST"])
        app.add_route("/v2/repository/models/{model_name}/{verb}", _refuse_repository, methods=["POST"])
        app.add_api_route("/", self.dataplane.live)
        app.add_route("/metrics", metrics_handler)
        register_v1_endpoints(app, self.dataplane, self.model_repository_extension)
        register_v2_endpoints(app, self.dataplane, self.model_repository_extension)
        for kind in (*translation.HANDLED, Exception):
            app.add_exception_handler(kind, translation.respond)
        return app

    async def _predict(self, request: Request) -> Response:
        _refuse_media(request, JSON)
        model = request.path_params["model_name"]
        answer, _ = await self.dataplane.infer(model, parse(await request.body()))
        return Response(msgspec.json.encode(answer), media_type=JSON)

    async def _infer(self, request: Request) -> Response:
        json_length = request.headers.get(v2_body.LENGTH_HEADER)
        _refuse_media(request, JSON, *([BINARY] if json_length else []))
        model = request.path_params["model_name"]
        answer, _ = await self.dataplane.infer(model, v2_body.read(await request.body(), json_length, model))
        content, json_length = answer.to_rest()
        if json_length is None:
            return Response(msgspec.json.encode(content), media_type=JSON)
        return Response(content, headers={v2_body.LENGTH_HEADER: str(json_length)}, media_type=BINARY)


def _refuse_media(request: Request, *known: str) -> None:
    """A body that does not say what it is counts as JSON."""
    given = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if given not in known:
        raise MediaTypeError(f"send the body as {' or '.join(known)}")


async def _refuse_repository(_: Request) -> Response:
    raise ForbiddenError("what serves is decided by a promotion, not by a request")
