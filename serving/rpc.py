"""v2 over gRPC: KServe's service on an address of our choice, with our errors."""

from __future__ import annotations

import logging
from typing import Any, NoReturn

from grpc import StatusCode, aio

from serving.errors import ForbiddenError
from serving.stock import ExceptionToStatusInterceptor, GRPCServer, InferenceServicer, grpc_predict_v2_pb2_grpc
from serving.translation import grpc_message, translate

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 8 * 2**20


class RpcServer(GRPCServer):  # type: ignore[misc]
    """KServe's server, without its share in somebody else's port and without its two log lines a request."""

    def __init__(self, data_plane: Any, repository: Any, address: str, grace_period: int) -> None:
        super().__init__(0, data_plane, repository, kwargs={}, grace_period=grace_period)
        self._address = address

    def bind(self) -> int:
        """Takes the address, within a loop; gives the port. Raises RuntimeError when it is taken."""
        limits = [(f"grpc.max_{way}_message_length", MAX_MESSAGE_BYTES) for way in ("send", "receive")]
        self._server = aio.server(interceptors=(_Refusals(),), options=[("grpc.so_reuseport", 0), *limits])
        servicer = _Servicer(self._data_plane, self._model_repository_extension)
        grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, self._server)
        return int(self._server.add_insecure_port(self._address))

    async def start(self, _max_workers: int = 0) -> None:
        """Takes requests from now on."""
        await self._server.start()


class _Servicer(InferenceServicer):  # type: ignore[misc]
    async def RepositoryModelLoad(self, _request: Any, _context: Any) -> NoReturn:  # noqa: N802 - the service's name
        raise ForbiddenError("what serves is decided by a promotion, not by a request")

    async def RepositoryModelUnload(self, request: Any, context: Any) -> NoReturn:  # noqa: N802 - the service's name
        await self.RepositoryModelLoad(request, context)


class _Refusals(ExceptionToStatusInterceptor):  # type: ignore[misc]
    async def handle_exception(self, ex: Exception, _request: Any, context: Any, method_name: str) -> None:
        refusal = translate(ex)
        if refusal.grpc == "INTERNAL":
            log.error("a request to %s failed", method_name, exc_info=ex)
        await context.abort(StatusCode[refusal.grpc], grpc_message(refusal))
