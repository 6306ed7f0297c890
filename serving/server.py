"""One worker: KServe's model server on addresses of our choice, following the traffic document until a signal."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from socket import socket
from typing import Any

import uvloop

from churn.stores.settings import Settings
from churn.stores.traffic import Traffic
from churn.stores.traffic_store import TrafficStore
from serving import memory, rest
from serving.access.admission import Access
from serving.access.options import AccessOptions
from serving.access.tls import Tls, TlsOptions
from serving.addresses import Address
from serving.answering import Answering
from serving.desk import Desk
from serving.front import Front
from serving.journal import Journal
from serving.logbook import Logbook
from serving.metrics import Metrics
from serving.model import ChurnModel
from serving.recording import Recorder
from serving.repository import Repository
from serving.rest import RestServer
from serving.rpc import RpcServer, Servicer, grpc_credentials
from serving.settings import ServingSettings
from serving.stock import DataPlane, ModelServer
from serving.version import Loader
from serving.watch import Follower

log = logging.getLogger(__name__)

GRACE_S = 10
"""For requests in flight, over HTTP and gRPC at once, after the draining."""

SETTLES_S = 2.0
"""For challengers in the shadow, after that; the prediction log then has `logbook.CLOSES_WITHIN_S`.

With a second of draining that makes 23 s: Kubernetes kills after 30."""


@dataclass(frozen=True)
class Options:
    """What a worker is given: where it listens, how it behaves, and whether other workers share its addresses."""

    settings: Settings
    serving: ServingSettings
    store: TrafficStore
    http: socket
    grpc: Address
    access: AccessOptions
    tls: TlsOptions | None = None
    workers: int = 1


class HonestDataPlane(DataPlane):  # type: ignore[misc]
    """KServe's own calls a server ready that has no model."""

    async def ready(self) -> bool:
        """Whether there is a model, and each one is ready."""
        models = self.model_registry.get_models().values()
        return bool(models) and all([await model.healthy() for model in models])


class PredictorServer(ModelServer):  # type: ignore[misc]
    """One model over HTTP, on a socket that is bound already, and gRPC."""

    def __init__(self, options: Options, model: str, document: Traffic) -> None:
        """Loads what the document says. Raises UserError when there is no champion to be had."""
        port = options.http.getsockname()[1]
        super().__init__(http_port=port, grpc_port=options.grpc.port, enable_latency_logging=False)
        serving = options.serving
        self.dataplane = HonestDataPlane(model_registry=self.registered_models)
        self._options = options
        self._access = Access(options.access, workers=options.workers)
        self._tls = Tls(options.tls) if options.tls else None
        self._metrics = Metrics()
        self._logbook = Logbook(options.settings, serving, self._metrics)
        loader = Loader(options.settings, serving, self._metrics, self._logbook.describe)
        self._follower = Follower(options.store, loader, self._metrics)
        lineup = self._follower.load(model, document)
        recorder = Recorder(self._metrics, self._logbook.log, self._access)
        self._answering = Answering(model, lineup, recorder, serving.limits.batch)
        self._model = ChurnModel(model, self._answering)
        own = Repository(model, lambda: self._follower.reload(self._answering), self._access)
        parts = (self.dataplane, self.model_repository_extension)
        desk = Desk(self._model, self._access, self._metrics, recorder, Journal(serving.said))
        behind = rest.application(self._model, *parts, own, self._rendered_metrics)
        self._front = Front(desk, behind, body_limit=serving.limits.body_bytes, tls=self._tls is not None)
        receive_s, metrics = serving.limits.receive, self._metrics
        self._rest = RestServer(
            *parts,
            bound=options.http,
            grace_s=GRACE_S,
            receive_s=receive_s,
            refused=lambda status: metrics.request("other", status, "", 0.0),
        )
        self._rest.serve(self._front, self._tls.ssl_context() if self._tls else None)
        shared = options.workers > 1
        self._rpc = RpcServer(*parts, address=str(options.grpc), grace_s=GRACE_S, shared=shared, receive_s=receive_s)
        self._servicer = Servicer(desk, *parts, own)
        self._told_to_stop, self._hung_up = asyncio.Event(), asyncio.Event()

    def serve(self) -> None:
        """Serves until SIGTERM or SIGINT, then answers what was asked. Raises UserError for a port taken meanwhile."""
        self._register_and_check_atleast_one_model_is_ready([self._model])
        self.register_signal_handler()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve_until_signal())

    def stop(self, _signal: int) -> None:
        """What KServe does on a signal: here, to begin to leave. A second one leaves at once."""
        if self._told_to_stop.is_set():
            self._hung_up.set()
        self._told_to_stop.set()

    async def _serve_until_signal(self) -> None:
        options = self._options
        try:
            credentials = grpc_credentials(self._tls) if self._tls else None
            self.grpc_port = self._rpc.bind(self._servicer, options.serving.limits.body_bytes, credentials)
        except RuntimeError as error:
            raise options.grpc.refused() from error
        self._follower.announce(self._model.name, self._answering.lineup)
        await self._rpc.start()
        serving = asyncio.create_task(self._rest.start())
        background = [
            asyncio.create_task(work)
            for work in (self._greet(), self._follower.follow(self._answering), self._tick(), self._leave_when_told())
        ]
        leaving = asyncio.create_task(self._hung_up.wait())
        try:
            await asyncio.wait((serving, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end([*background, leaving])
            self._model.ready = False
            self._rest.leave()
            await asyncio.gather(serving, self._rpc.stop(), return_exceptions=True)
            await self._answering.settle(SETTLES_S)
            await asyncio.to_thread(self._logbook.close)
            self._access.close()
        await serving  # what ended it, if it was no signal

    async def _leave_when_told(self) -> None:
        """Says that it is not ready, still answers for a while, and hangs up after each answer; then takes no more."""
        await self._told_to_stop.wait()
        self._model.ready = False
        self._front.leaving = True
        await self._rpc.say(serving=False)
        await asyncio.sleep(self._options.serving.drain)
        self._hung_up.set()

    async def _tick(self) -> None:
        """What is done every second: keys and certificates that changed, the audit's lines, where the log stands."""
        while True:
            await asyncio.sleep(1)
            await asyncio.to_thread(self._access.refresh)
            if self._tls is not None:
                await asyncio.to_thread(self._tls.refresh)
            stale = [*self._access.problems, *([self._tls.problem] if self._tls and self._tls.problem else [])]
            self._metrics.stale(len(stale), self._access.audit.lost)
            await asyncio.to_thread(self._logbook.measure)

    async def _greet(self) -> None:
        """Says that requests are taken; then gets ready for those that need more than the first one did."""
        await self._rest.started()
        http = Address(self._options.grpc.host, self.http_port)
        scheme = "https" if self._options.tls else "http"
        number = self._answering.lineup.champion.variant.version
        log.info(
            "%s version %d serves at %s://%s, gRPC port %d", self._model.name, number, scheme, http, self.grpc_port
        )
        memory.settle()
        await self._follower.finish(self._answering)
        memory.settle()

    def _rendered_metrics(self) -> bytes:
        self._logbook.measure()
        return self._metrics.render()


async def _end(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
