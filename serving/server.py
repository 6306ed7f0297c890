"""The process: KServe's model server on addresses of our choice, following the traffic document until a signal."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from socket import socket
from typing import Any

import uvloop

from churn.domain.errors import UserError
from churn.stores.settings import Settings
from churn.stores.traffic_store import TrafficStore
from serving.addresses import Address
from serving.champion import Champion
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
    """One model over HTTP and gRPC."""

    def __init__(self, settings: Settings, traffic: TrafficStore, http: socket, grpc: Address) -> None:
        super().__init__(http_port=http.getsockname()[1], grpc_port=grpc.port, enable_latency_logging=False)
        self.dataplane = HonestDataPlane(model_registry=self.registered_models)
        self._settings, self._traffic = settings, traffic
        self._grpc_address = grpc
        parts = (self.dataplane, self.model_repository_extension)
        self._rest = RestServer(*parts, bound=http, grace_period=GRACE_S)
        self._rpc = RpcServer(*parts, address=str(grpc), grace_period=GRACE_S)

    def start(self, models: list[ChurnModel]) -> None:
        """Serves `models` until SIGTERM or SIGINT. Raises UserError when a port is taken meanwhile."""
        self._register_and_check_atleast_one_model_is_ready(models)
        self.register_signal_handler()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve_models(models))

    def stop(self, sig: int) -> None:
        """Lets the server end; called for a signal."""
        self._rest.leave()

    async def _serve_models(self, models: list[ChurnModel]) -> None:
        try:
            grpc_port = self._rpc.bind()
        except RuntimeError as error:
            raise self._grpc_address.taken() from error
        await self._rpc.start()
        followers = [asyncio.create_task(follow(self._settings, self._traffic, model)) for model in models]
        serving = asyncio.create_task(self._rest.start())
        await asyncio.wait([serving, asyncio.create_task(self._rest.started())], return_when=asyncio.FIRST_COMPLETED)
        for model in models:
            self._say_ready(model, grpc_port)
        warming = asyncio.create_task(asyncio.to_thread(_warm, models))
        await serving
        await self._drain(models, [*followers, warming])

    async def _drain(self, models: list[ChurnModel], tasks: list[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._rpc.stop()
        for model in models:
            model.stop()

    def _say_ready(self, model: ChurnModel, grpc_port: int) -> None:
        http, version = f"{self._grpc_address.host}:{self.http_port}", model.champion.variant.version
        log.info("version %d of %s serves at http://%s, gRPC on port %d", version, model.name, http, grpc_port)


def _warm(models: list[ChurnModel]) -> None:
    for model in models:
        model.champion.stored.warm()


def run(settings: Settings, traffic: TrafficStore, champion: Champion, model: str, http: socket, grpc: Address) -> None:
    """Serves a loaded champion under the name `model` until a signal."""
    PredictorServer(settings, traffic, http, grpc).start([ChurnModel(model, champion)])
    if UserError:
        return
