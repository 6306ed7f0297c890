"""gRPC's messages under a clock: its own servers wait for the rest of a half-sent one as long as the client likes.

A method that takes one message is offered as one that takes a stream of them, which on the wire is the same; such a
method is called before anything has arrived, and reads for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
from grpc import StatusCode, aio

from serving import handles

MOST_CALLS = 1000
"""At once, in one worker: an answer takes milliseconds, so that whoever comes later would not be answered in time."""

_MINUTE_MS = 60_000


def options(receive_s: float) -> dict[str, int]:
    """gRPC's own clocks and limits, by its names for them. A connection ends after half an hour with a GOAWAY, behind
    which clients open another: so they spread over the workers, and nothing half-open stays."""
    return {
        "grpc.server_handshake_timeout_ms": int(1000 * receive_s),
        "grpc.max_allowed_incoming_connections": handles.most_connections(handles.raise_limit()),
        "grpc.max_concurrent_streams": 100,
        "grpc.max_connection_idle_ms": 5 * _MINUTE_MS,
        "grpc.max_connection_age_ms": 30 * _MINUTE_MS,
        "grpc.max_connection_age_grace_ms": _MINUTE_MS,
        "grpc.keepalive_time_ms": _MINUTE_MS,
        "grpc.keepalive_timeout_ms": 20_000,
        "grpc.http2.min_ping_interval_without_data_ms": 10_000,  # what clients may do, beside gRPC's own 5 minutes
    }


class Patient:
    """Stands in the place of a server while services are added to it; their messages have to arrive in `receive_s`."""

    def __init__(self, server: Any, receive_s: float) -> None:
        self._server, self._receive_s = server, receive_s

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        """Adds them, with the clock."""
        self._server.add_generic_rpc_handlers([_Timed(one, self._receive_s) for one in handlers])

    def add_registered_method_handlers(self, name: str, handlers: dict[str, Any]) -> None:
        """The same again, in another form."""


class _Timed(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, handlers: Any, receive_s: float) -> None:
        self._handlers, self._receive_s = handlers, receive_s
        self._known: dict[str, Any] = {}

    def service(self, handler_call_details: Any) -> Any:
        """The handler of a method, or None."""
        method = handler_call_details.method
        known = self._known.get(method)
        if known is None:
            found = self._handlers.service(handler_call_details)
            if found is None:
                return None
            known = self._known[method] = _timed(found, self._receive_s)
        return known


def _timed(handler: Any, receive_s: float) -> Any:
    if handler.request_streaming:
        return handler
    ask = handler.unary_stream or handler.unary_unary

    async def answered(_: Any, context: Any) -> Any:
        return await ask(await _first(context, receive_s), context)

    way = grpc.stream_stream_rpc_method_handler if handler.response_streaming else grpc.stream_unary_rpc_method_handler
    return way(answered, handler.request_deserializer, handler.response_serializer)


async def _first(context: Any, receive_s: float) -> Any:
    """The one message. What has not arrived in time, or never will, ends the call."""
    try:
        async with asyncio.timeout(receive_s):
            message = await context.read()
    except TimeoutError:
        problem = f"the message did not arrive within {receive_s:g} s"
        return await context.abort(StatusCode.DEADLINE_EXCEEDED, problem)
    if message is aio.EOF:
        return await context.abort(StatusCode.INVALID_ARGUMENT, "the call has no message")
    return message
