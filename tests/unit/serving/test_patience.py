"""gRPC clients who send half, or nothing, and connections that end, against a server with little patience."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from serving.patience import MOST_CALLS, Patient, options
from tests.http2 import half_a_message

PATIENCE_S = 0.5
AGE_MS = 300
WAIT_S = 20
SERVING = health_pb2.HealthCheckResponse.SERVING
METHOD = "/grpc.health.v1.Health/Check"


@dataclass
class Served:
    port: int

    def channel(self) -> grpc.Channel:
        alone = [("grpc.use_local_subchannel_pool", 1)]
        return grpc.insecure_channel(f"127.0.0.1:{self.port}", alone)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """The health service; a connection lives a third of a second."""
    loop, ports = asyncio.new_event_loop(), []

    async def begin() -> aio.Server:
        short = options(PATIENCE_S) | {"grpc.max_connection_age_ms": AGE_MS, "grpc.so_reuseport": 0}
        server = aio.server(options=list(short.items()), maximum_concurrent_rpcs=MOST_CALLS)
        service = health.aio.HealthServicer()
        await service.set("", SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(service, Patient(server, PATIENCE_S))
        ports.append(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        return server

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(begin(), loop).result(WAIT_S)
    yield Served(ports[0])
    asyncio.run_coroutine_threadsafe(server.stop(0), loop).result(WAIT_S)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(WAIT_S)


@pytest.mark.parametrize("message", [b"", b"\0", b"\0" + struct.pack(">I", 1_000_000) + b"x" * 1000])
def test_a_message_that_does_not_arrive_ends_its_call(served: Served, message: bytes) -> None:
    started, found = time.monotonic(), b""
    with socket.create_connection(("127.0.0.1", served.port), timeout=WAIT_S) as connection:
        connection.sendall(half_a_message(METHOD, message))
        while b"did not arrive within 0.5 s" not in found:
            part = connection.recv(65_536)
            assert part, found
            found += part
    assert time.monotonic() - started > 0.9 * PATIENCE_S


def test_a_call_without_a_message_is_refused(served: Served) -> None:
    with served.channel() as channel:
        ask = channel.stream_unary(METHOD, None, health_pb2.HealthCheckResponse.FromString)
        with pytest.raises(grpc.RpcError) as refused:
            ask(iter(()), timeout=WAIT_S)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_answers_that_are_streams_stay_so(served: Served) -> None:
    with served.channel() as channel:
        watched = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=WAIT_S)
        assert next(watched).status == SERVING
        watched.cancel()


def test_a_connection_that_ends_loses_no_call(served: Served) -> None:
    """A call that crosses with the goodbye was not begun here, and gRPC's clients send it again by themselves."""
    faults: list[grpc.RpcError] = []
    until = time.monotonic() + 10 * AGE_MS / 1000

    def ask() -> None:
        with served.channel() as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            while time.monotonic() < until:
                try:
                    stub.Check(health_pb2.HealthCheckRequest(), timeout=WAIT_S)
                except grpc.RpcError as error:
                    faults.append(error)
                time.sleep(0.001)

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(WAIT_S)
    assert faults == []
