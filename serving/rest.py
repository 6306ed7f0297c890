"""HTTP: KServe's server on a socket that is bound already, with our routes in front of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from socket import socket
from typing import Any

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from serving import handles, info, metrics, openapi, translation
from serving.connection import Connection
from serving.listening import Listener
from serving.model import ChurnModel
from serving.repository import Repository
from serving.stock import RESTServer, V1Endpoints, V2Endpoints

JSON = "application/json"


class RestServer(RESTServer):  # type: ignore[misc]
    """KServe's server, quiet, and strict about time."""

    def __init__(  # noqa: PLR0913 - KServe's own, and ours
        self,
        data_plane: Any,
        repository: Any,
        bound: socket,
        grace_s: int,
        receive_s: float,
        *,
        refused: Callable[[int], None] | None = None,
    ) -> None:
        """`refused` is told the status of what is refused before there is a request."""
        super().__init__("", data_plane, repository, http_port=bound.getsockname()[1], grace_period=grace_s)
        clocks = {"receive_s": receive_s, "most": handles.most_connections(handles.raise_limit())}
        hook = {"refused": staticmethod(refused)} if refused else {}
        self.config.access_log = False
        self.config.ws = "none"
        self.config.http = type("Connection", (Connection,), {**clocks, **hook})
        self.config.server_header = False
        self.config.date_header = False
        self.config.proxy_headers = False  # who may say where a client is from is a setting of our own
        self._socket = bound
        self._server = Listener(self.config, receive_s)

    def serve(self, application: Any, tls: Any = None) -> None:
        """What to run; `tls` is an SSL context."""
        self.config.app = application
        self.config.load()
        self.config.ssl = tls

    async def start(self) -> None:
        """Serves until `leave`. uvicorn's own `serve` would take the signals, and end without draining."""
        await self._server._serve(sockets=[self._socket])  # noqa: SLF001

    async def started(self) -> None:
        """Comes back when connections are taken."""
        while not self._server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
            await asyncio.sleep(0.01)

    def leave(self) -> None:
        """Takes no more connections, and ends when those there are have been answered."""
        self._server.should_exit = True


def application(
    model: ChurnModel, data_plane: Any, repository: Any, own: Repository, render_metrics: Callable[[], bytes]
) -> FastAPI:
    """The routes that are not on the hot path: KServe's own, and what describes the model."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)

    async def told_metrics(_: Request) -> Response:
        return Response(await asyncio.to_thread(render_metrics), media_type=metrics.CONTENT_TYPE)

    async def model_info(_: Request) -> Response:
        return Response(msgspec.json.encode(info.document(model.name, model.lineup)), media_type=JSON)

    async def description(_: Request) -> Response:
        content = await asyncio.to_thread(openapi.render, model.name, model.lineup.champion)
        return Response(content, media_type=JSON)

    async def docs(_: Request) -> Response:
        return HTMLResponse(await asyncio.to_thread(openapi.page, model.name, model.lineup.champion))

    app.add_route("/metrics", told_metrics, methods=["GET"])
    app.add_route("/model-info", model_info, methods=["GET"])
    app.add_route("/openapi.json", description, methods=["GET"])
    app.add_route("/docs", docs, methods=["GET"])
    app.add_route("/v2/repository/models/{model_name}/load", own.load_route, methods=["POST"])
    app.add_route("/v2/repository/models/{model_name}/unload", own.unload_route, methods=["POST"])
    app.add_api_route("/", data_plane.live)
    _describe(app, data_plane, repository)
    for kind in (*translation.HANDLED, Exception):
        app.add_exception_handler(kind, translation.respond)
    return app


def _describe(app: FastAPI, data_plane: Any, repository: Any) -> None:
    """KServe's routes that say how things are. Those that predict, load and unload are left out, one and all: they know
    nothing of keys, of limits and of what a request may hold."""
    v1, v2 = V1Endpoints(data_plane, repository), V2Endpoints(data_plane, repository)
    for path, answer in {
        "/v1/models": v1.models,
        "/v1/models/{model_name}": v1.model_ready,
        "/v2": v2.metadata,
        "/v2/health/live": v2.live,
        "/v2/health/ready": v2.ready,
        "/v2/models": v2.models,
        "/v2/models/{model_name}": v2.model_metadata,
        "/v2/models/{model_name}/ready": v2.model_ready,
    }.items():
        app.add_api_route(path, answer, methods=["GET"])
