"""v2 over gRPC: KServe's service on an address of our choice, with our checks, our errors, and the health service."""

from __future__ import annotations

import asyncio
from typing import Any

from grpc import StatusCode, aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from serving import messages, patience, v2_grpc
from serving.access.caller import Credentials, Scope
from serving.access.networks import grpc_peer
from serving.access.tls import Tls
from serving.call import Call, request_id, traceparent
from serving.desk import Desk
from serving.errors import WHICH_VERSION, Fault, MalformedError, NotSupportedError, UnknownModelError
from serving.repository import Repository
from serving.stock import GRPCServer, InferenceServicer, pb
from serving.translation import grpc_message

_GONE = 499
"""What nginx calls a request whose client did not wait."""

_WAYS = ("send", "receive")

SERVICE = "inference.GRPCInferenceService"
"""KServe's service, as the health service calls it; the empty name is the whole server."""


class RpcServer(GRPCServer):  # type: ignore[misc]
    """KServe's server, without its share in somebody else's port and without its two log lines a request."""

    def __init__(  # noqa: PLR0913 - KServe's own, and ours
        self,
        data_plane: Any,
        repository: Any,
        address: str,
        grace_s: int,
        *,
        shared: bool = False,
        receive_s: float = 10.0,
    ) -> None:
        super().__init__(0, data_plane, repository, kwargs={}, grace_period=grace_s)
        self._address, self._shared, self._receive_s = address, shared, receive_s
        self._health = health.aio.HealthServicer()

    def bind(self, servicer: Servicer, limit: int, credentials: Any = None) -> int:
        """Takes the address, within a loop; gives the port. Raises RuntimeError when it is taken."""
        options = patience.options(self._receive_s) | {f"grpc.max_{way}_message_length": limit for way in _WAYS}
        options["grpc.so_reuseport"] = int(self._shared)
        self._server = aio.server(options=list(options.items()), maximum_concurrent_rpcs=patience.MOST_CALLS)
        patient = patience.Patient(self._server, self._receive_s)
        messages.register(servicer, patient, servicer.unreadable)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, patient)
        if credentials is not None:
            return int(self._server.add_secure_port(self._address, credentials))
        return int(self._server.add_insecure_port(self._address))

    async def start(self, _max_workers: int = 0) -> None:
        """Takes requests from now on."""
        await self.say(serving=True)
        await self._server.start()

    async def say(self, *, serving: bool) -> None:
        """What the health service answers."""
        states = health_pb2.HealthCheckResponse
        for name in ("", SERVICE):
            await self._health.set(name, states.SERVING if serving else states.NOT_SERVING)


class Servicer(InferenceServicer):  # type: ignore[misc]
    """KServe's, with predictions, refusals and the repository done our way."""

    def __init__(self, desk: Desk, data_plane: Any, repository: Any, own: Repository) -> None:
        super().__init__(data_plane, repository)
        self._desk, self._own = desk, own

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name
        """Predicts, or explains."""
        call = _call("grpc infer", context)
        try:
            self._desk.admit(call, "predict")
            self._known(request.model_name)
            if request.model_version:
                raise NotSupportedError(WHICH_VERSION)  # noqa: TRY301 - told below like others
            asked = await self._desk.read(lambda: v2_grpc.read(request), request.ByteSize())
            answers = await self._desk.answer(call, asked)
            response = await self._desk.rendered(lambda: v2_grpc.render(answers, asked), answers)
        except asyncio.CancelledError:  # the client has gone, or its deadline has passed
            self._desk.ended(call, _GONE)
            raise
        except Exception as error:  # noqa: BLE001 - the last place where a client can be told anything
            return await self._refuse(call, context, error)
        self._desk.ended(call, 200, answers.one_variant)
        return response

    async def ServerMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """KServe's."""
        return await self._ask("predict", super().ServerMetadata, request, context)

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """KServe's."""
        return await self._ask("predict", super().ModelMetadata, request, context)

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        """KServe's, for anybody: a probe."""
        return await self._ask(None, super().ModelReady, request, context)

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Reads the traffic document again."""

        async def load(request: Any, call: Call) -> Any:
            await self._own.load(request.model_name, call)
            return pb.RepositoryModelLoadResponse(model_name=request.model_name, isLoaded=True)

        return await self._administer(load, request, context)

    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Is refused."""

        async def unload(request: Any, call: Call) -> Any:
            self._own.unload(request.model_name, call)

        return await self._administer(unload, request, context)

    async def unreadable(self, context: Any) -> None:
        """Refuses what is no message of the protocol."""
        problem = Fault("message", "is not a request of the protocol")
        await self._refuse(_call("other", context), context, MalformedError([problem]))

    async def _ask(self, scope: Scope | None, ask: Any, request: Any, context: Any) -> Any:
        call = _call("other" if scope else "health", context)
        try:
            if scope is not None:
                self._desk.admit(call, scope)
            answer = await ask(request, context)
        except Exception as error:  # noqa: BLE001
            return await self._refuse(call, context, error)
        self._desk.ended(call, 200)
        return answer

    async def _administer(self, act: Any, request: Any, context: Any) -> Any:
        call = _call("repository", context)
        try:
            self._desk.admit(call, "admin")
            answer = await act(request, call)
        except Exception as error:  # noqa: BLE001
            return await self._refuse(call, context, error)
        self._desk.ended(call, 200)
        return answer

    def _known(self, name: str) -> None:
        if name != self._desk.model.name:
            raise UnknownModelError("this server has no model of that name")

    async def _refuse(self, call: Call, context: Any, error: Exception) -> None:
        refusal = self._desk.refuse(call, error)
        self._desk.ended(call, refusal.status)
        trailing = (("x-request-id", call.request_id), *refusal.headers.items())
        await context.abort(StatusCode[refusal.grpc], grpc_message(refusal), trailing)


def _call(route: str, context: Any) -> Call:
    """How a request is called, what its metadata says of who asks, and from where."""
    metadata = context.invocation_metadata() or ()
    said = {name: value for name, value in metadata if name in ("x-request-id", "traceparent")}
    own = request_id(_text(said.get("x-request-id")))
    return Call(
        route, own, traceparent(_text(said.get("traceparent"))), Credentials.of(metadata), grpc_peer(context.peer())
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def grpc_credentials(tls: Tls) -> Any:
    """The same certificate as HTTP's; a renewed one is shown from the next handshake on."""
    import grpc

    def configuration(given: Any) -> Any:
        return grpc.ssl_server_certificate_configuration(*given)

    def renewed() -> Any:
        given = tls.grpc_renewed()
        return None if given is None else configuration(given)

    *first, clients_too = tls.grpc
    return grpc.dynamic_ssl_server_credentials(configuration(first), renewed, require_client_authentication=clients_too)
