"""A Redis that dies, hangs and comes back, what stands between it and its reader, and what only looks like one."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import mmh3
import redis
from google.protobuf.timestamp_pb2 import Timestamp

from churn.domain.bundle import Online
from feature_repo.direct.keys import Keys
from feature_repo.quiet import Value
from tests.servers import _await, _redis_binary, free_port

_FIELDS = {"int64": "int64_val", "double": "double_val", "string": "string_val"}


class RedisProcess:
    """redis-server on a port of its own, which it keeps over restarts; it forgets everything with them."""

    def __init__(self, folder: Path, *options: str, tls: bool = False) -> None:
        self.port = free_port()
        listens = ["--port", "0", "--tls-port", str(self.port)] if tls else ["--port", str(self.port)]
        self._command = [_redis_binary(), *listens, "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), *options]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _await(self._process, self._listens, lambda: "")

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """The process is gone when this returns, and nothing listens on the port."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def hang(self) -> None:
        """Connections are accepted, by the kernel, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def put(client: redis.Redis, online: Online, id_: str | int, seen: float, values: Mapping[str, Any]) -> bytes:
    """Writes a customer as Feast does; gives the key."""
    (key,) = Keys(online, suffix=online.project.encode()).encode([id_])
    stamp = Timestamp(seconds=int(seen)).SerializeToString()
    fields: dict[bytes, bytes] = {f"_ts:{online.view}".encode(): stamp}
    for column in online.columns:
        value = values.get(column.name)
        message = Value() if value is None else Value(**{_FIELDS[column.type]: value})
        name = mmh3.hash(f"{online.view}:{column.name}", signed=False).to_bytes(4, "little")
        fields[name] = message.SerializeToString()
    client.hset(key, mapping=fields)  # type: ignore[arg-type]
    return key


@asynccontextmanager
async def pretender(answer: bytes | Callable[[asyncio.StreamWriter], None]) -> AsyncIterator[str]:
    """Something that gives the same answer to whatever it receives; its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            if callable(answer):
                answer(writer)
            else:
                writer.write(answer)
        writer.close()

    async with _serving(serve) as url:
        yield url


@asynccontextmanager
async def between(port: int, held_until: int = 0, crumbs: bool = False) -> AsyncIterator[str]:
    """Passes everything on to Redis and back; its URL. Replies are held until so many commands have come, and may be
    passed on byte by byte."""
    received = 0
    enough = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, to_redis = await asyncio.open_connection("127.0.0.1", port)

        async def back() -> None:
            while data := await upstream.read(65_536):
                await enough.wait()
                for start in range(0, len(data), 1 if crumbs else len(data)):
                    writer.write(data[start : start + (1 if crumbs else len(data))])
                    await writer.drain()
                    await asyncio.sleep(0)

        returning = asyncio.create_task(back())
        nonlocal received
        while data := await reader.read(65_536):
            received += data.count(b"HMGET")
            if received >= held_until:
                enough.set()
            to_redis.write(data)
        to_redis.close()
        await asyncio.wait((returning,))
        writer.close()

    async with _serving(serve) as url:
        yield url


@asynccontextmanager
async def _serving(serve: Any) -> AsyncIterator[str]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
