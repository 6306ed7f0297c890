"""A limit: a grpc.aio server, whose one method takes bytes and answers with none. Its first port says that it is up."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc
import uvloop


async def answer(_request: bytes, _context: Any) -> bytes:
    return b""


async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


async def serve(http_port: int, grpc_port: int) -> None:
    server = grpc.aio.server()
    methods = {"ModelInfer": grpc.unary_unary_rpc_method_handler(answer)}
    handler = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods)
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"127.0.0.1:{grpc_port}")
    await server.start()
    await asyncio.start_server(greet, "127.0.0.1", http_port)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
