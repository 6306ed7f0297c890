"""A server asked by one protocol with certain requests, and whether it gives the model's own probabilities."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from tests.benchmarks.serving.protocols import GRPC_PATH, Body, Protocol, Rows
from tests.benchmarks.serving.servers import Server

TOLERANCE = 1e-5
_MESSAGE_BYTES = 64 * 2**20
_PATIENCE_S = 30


class Disagreement(Exception):  # noqa: N818 - it ends the run
    """A server gives other probabilities than the model: nothing it does is worth measuring."""


@dataclass(frozen=True)
class Contestant:
    """`bodies` are distinct requests of `size` customers each, `answers` the pipeline's own probabilities for them."""

    name: str
    server: Server
    protocol: Protocol
    size: int
    bodies: Sequence[Body]
    answers: Sequence[Sequence[float]]

    @property
    def address(self) -> str:
        """What a loader is pointed at: a URL, or host and port for gRPC."""
        if self.protocol.grpc:
            return f"127.0.0.1:{self.server.grpc_port}"
        return f"http://127.0.0.1:{self.server.http_port}{self.protocol.path}"

    def answer_bytes(self, body: Body) -> int:
        """How long the answer to a gRPC request is. Raises RuntimeError for what is no success."""
        return len(self._call(body)[0])

    def difference(self) -> float:
        """Asks every body once; gives the largest difference from the pipeline's probabilities.

        Raises RuntimeError for what is no success, or no answer of the protocol; Disagreement beyond the tolerance."""
        worst = 0.0
        for body, expected in zip(self.bodies, self.answers, strict=True):
            got = self._ask(body)
            if len(got) != len(expected):
                raise Disagreement(f"{self.name} gives {len(got)} answers for {len(expected)} customers")
            worst = max(worst, float(np.abs(np.subtract(got, expected)).max()))
        if not worst <= TOLERANCE:
            raise Disagreement(f"the probabilities of {self.name} differ from the model's by {worst:.2g}")
        return worst

    def _ask(self, body: Body) -> list[float]:
        content, headers = self._call(body) if self.protocol.grpc else self._post(body)
        try:
            return self.protocol.read(content, headers)
        except (KeyError, ValueError, TypeError) as error:
            raise RuntimeError(f"no answer of the protocol: {content[:200]!r}") from error

    def _post(self, body: Body) -> tuple[bytes, Mapping[str, str]]:
        url = urlsplit(self.address)
        connection = http.client.HTTPConnection(str(url.hostname), url.port or 80, timeout=_PATIENCE_S)
        try:
            connection.request("POST", url.path, body.content, dict(body.headers))
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise RuntimeError(f"{type(error).__name__}: {error}") from error
        finally:
            connection.close()
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"HTTP {answer.status}: {content[:200].decode(errors='replace')}")
        return content, dict(answer.headers)

    def _call(self, body: Body) -> tuple[bytes, Mapping[str, str]]:
        import grpc

        options = [(f"grpc.max_{way}_message_length", _MESSAGE_BYTES) for way in ("send", "receive")]
        with grpc.insecure_channel(self.address, options=options) as channel:
            method: Any = channel.unary_unary(GRPC_PATH)
            try:
                return method(body.content, metadata=tuple(body.headers.items()), timeout=_PATIENCE_S), {}
            except grpc.RpcError as error:
                raise RuntimeError(f"{error.code().name}: {error.details()}") from error


class Customers:
    """The customers of a run: rows in sets of a size, their ids, and what the pipeline itself says of them."""

    def __init__(self, rows: Rows, score: Callable[[Rows], Sequence[float]]) -> None:
        self.by_id: dict[str | int, Mapping[str, Any]] = {f"C{number:06}": row for number, row in enumerate(rows)}
        self._rows, self._answers = rows, list(score(rows))

    def contestant(
        self, name: str, server: Server, protocol: Protocol, size: int, *, by_id: bool = False
    ) -> Contestant:
        """One that is asked for `size` customers a request, with all of their columns or by their ids alone."""
        rows: Rows = [{"customer_id": key} for key in self.by_id] if by_id else self._rows
        bodies = [protocol.write(rows[place : place + size]) for place in self._places(size)]
        named = [replace(body, headers={**body.headers, **server.headers}) for body in bodies]
        answers = [self._answers[place : place + size] for place in self._places(size)]
        return Contestant(name, server, protocol, size, named, answers)

    def _places(self, size: int) -> list[int]:
        """Where sets begin: 32 of one customer, four of many."""
        count = 32 if size == 1 else 4
        return [(len(self._rows) - size) // (count - 1) * number for number in range(count)]
