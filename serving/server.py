"""The process: KServe's model server on addresses of our choice, following the traffic document until a signal."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from socket import socket
from typing import Any

import uvloop

from churn.stores.settings import Settings
from churn.stores.traffic_store import TrafficStore
from serving.addresses import Address
from serving.model import ChurnModel
from serving.rest import RestServer
from serving.rpc import RpcServer
from serving.stock import DataPlane, ModelServer
from serving.watch import follow

log = logging.getLogger(__name__)

GRACE_S = 10


class HonestDataPlane(DataPlane):  # type: ignore[misc]
    """KServe's own calls a server ready that has no model."""

    async def ready(self) -> bool:
        """Whether there is a model, and each one is ready."""
        models = self.model_registry.get_models().values()
        return bool(models) and all([await model.healthy() for model in models])


class PredictorServer(ModelServer):  # type: ignore[misc]
    """One model over HTTP, on a socket that is bound already, and gRPC."""

    def __init__(self, settings: Settings, traffic: TrafficStore, http: socket, grpc: Address) -> None:
        super().__init__(http_port=http.getsockname()[1], grpc_port=grpc.port, enable_latency_logging=False)
        self.dataplane = HonestDataPlane(model_registry=self.registered_models)
        self._settings, self._traffic, self._grpc_address = settings, traffic, grpc
        parts = (self.dataplane, self.model_repository_extension)
        self._rest = RestServer(*parts, bound=http, grace_period=GRACE_S)
        self._rpc = RpcServer(*parts, address=str(grpc), grace_period=GRACE_S)

    def start(self, models: list[ChurnModel]) -> None:
        """Serves until SIGTERM or SIGINT, then answers what was asked. Raises UserError for a port taken meanwhile."""
        self._register_and_check_atleast_one_model_is_ready(models)
        self.register_signal_handler()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve_until_signal(models[0]))

    def stop(self, _signal: int) -> None:
        """What KServe does on a signal: here, to let `start` end."""
        self._rest.leave()

    async def _serve_until_signal(self, model: ChurnModel) -> None:
        try:
            self.grpc_port = self._rpc.bind()
        except RuntimeError as error:
            raise self._grpc_address.refused() from error
        await self._rpc.start()
        serving = asyncio.create_task(self._rest.start())
        background = [
            asyncio.create_task(self._greet(model)),
            asyncio.create_task(follow(self._settings, self._traffic, model)),
        ]
        try:
            await serving
        finally:
            await _end(background)
            model.stop()
            await self._rpc.stop()

    async def _greet(self, model: ChurnModel) -> None:
        """Says that requests are taken; then gets ready for those by id, which need Feast's slow import."""
        await self._rest.started()
        http = Address(self._grpc_address.host, self.http_port)
        version = model.champion.variant.version
        log.info("%s version %d serves at http://%s, gRPC port %d", model.name, version, http, self.grpc_port)
        await asyncio.to_thread(model.champion.stored.warm)


async def _end(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
