"""A predictor in a process of its own, for tests to talk to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers import free_port

PATIENCE_S = 60
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Predictor:
    """A predictor in a process of its own."""

    process: subprocess.Popen[bytes]
    http_port: int
    grpc_port: int
    log: Path

    def send(self, path: str, body: Any = None, method: str = "", **headers: str) -> Reply:
        """`body` goes as it is when it is bytes, otherwise as JSON; without one, it is a GET."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {"Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data, named, method=method or None)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Reply(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            return Reply(error.code, dict(error.headers), error.read())

    def predict(self, *instances: Any) -> Reply:
        return self.send("/v1/models/shop:predict", {"instances": instances})

    def infer(self, body: Any, **headers: str) -> Reply:
        return self.send("/v2/models/shop/infer", body, **headers)

    def said(self) -> str:
        return self.log.read_text()

    def wait_for(self, done: Any) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def ready(self) -> bool:
        try:
            return self.send("/v2/models/shop/ready").status == 200
        except (urllib.error.URLError, ConnectionError):
            return False


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "serving", "--model", "shop", *arguments]


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CHURN_", "AWS_"))}
    return {**kept, "CHURN_HOME": str(home)}


@contextmanager
def running(home: Path, log: Path) -> Iterator[Predictor]:
    http_port, grpc_port = free_port(), free_port()
    ports = ["--http-port", str(http_port), "--grpc-port", str(grpc_port)]
    with log.open("wb") as said:
        process = subprocess.Popen(command(*ports), cwd=ROOT, env=environment(home), stdout=said, stderr=said)
    predictor = Predictor(process, http_port, grpc_port, log)
    try:
        predictor.wait_for(predictor.ready)
        yield predictor
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
