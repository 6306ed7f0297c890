"""gRPC's handlers for KServe's service, which also answer what is no message: gRPC repeats the parser's words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from serving.stock import grpc_predict_v2_pb2_grpc

Refuse = Callable[[Any], Awaitable[None]]


def register(servicer: Any, server: Any, refuse: Refuse) -> None:
    """Adds the service to a server. `refuse` is given the context of a request that cannot be read, and aborts it."""
    service = _Service()
    grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, service)
    handlers = {name: _careful(handler, refuse) for name, handler in service.handlers.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.name, handlers),))


class _Service:
    """Stands in the place of a server, to learn what KServe's code would add to it."""

    def __init__(self) -> None:
        self.name = ""
        self.handlers: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """The same again, in another form."""

    def add_registered_method_handlers(self, name: str, handlers: dict[str, Any]) -> None:
        """What there is to add."""
        self.name, self.handlers = name, handlers


def _careful(handler: Any, refuse: Refuse) -> Any:
    read, ask = handler.request_deserializer, handler.unary_unary
    if ask is None:
        return handler

    def parsed(content: bytes) -> Any:
        try:
            return read(content)
        except DecodeError:
            return None

    async def answered(request: Any, context: Any) -> Any:
        return await (refuse(context) if request is None else ask(request, context))

    return handler._replace(request_deserializer=parsed, unary_unary=answered)
