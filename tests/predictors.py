"""A predictor in a process of its own, for tests to talk to."""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers import free_port

PATIENCE_S = 120
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
    """A predictor in a process of its own; `key` goes with every HTTP request, `tls` is a client's context."""

    process: subprocess.Popen[bytes]
    http_port: int
    grpc_port: int
    log: Path
    key: str = ""
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    def send(self, path: str, body: Any = None, method: str = "", **headers: str) -> Reply:
        """`body` goes as it is when it is bytes, otherwise as JSON; without one, it is a GET."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {"Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        if self.key and not {"x-api-key", "authorization"} & {name.lower() for name in named}:
            named["X-API-Key"] = self.key
        scheme = "https" if self.tls else "http"
        address = f"{scheme}://127.0.0.1:{self.http_port}{path}"
        request = urllib.request.Request(address, data, named, method=method or None)
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.tls) as answer:
                return Reply(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            return Reply(error.code, dict(error.headers), error.read())

    def predict(self, *instances: Any, **headers: str) -> Reply:
        return self.send("/v1/models/shop:predict", {"instances": instances}, **headers)

    def infer(self, body: Any, **headers: str) -> Reply:
        return self.send("/v2/models/shop/infer", body, **headers)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        from prometheus_client.parser import text_string_to_metric_families

        families = text_string_to_metric_families(self.send("/metrics").body.decode())
        samples = [one for family in families for one in family.samples if one.name == name]
        return sum(one.value for one in samples if labels.items() <= one.labels.items())

    def said(self) -> str:
        """All of stdout and stderr."""
        return self.log.read_text()

    def lines(self) -> list[dict[str, Any]]:
        """All that was said, which must be JSON."""
        return [json.loads(line) for line in self.said().splitlines()]

    def wait_for(self, done: Callable[[], Any]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.02)

    def ready(self) -> bool:
        try:
            return self.send("/v2/models/shop/ready").status == 200
        except (urllib.error.URLError, ConnectionError, http.client.HTTPException):
            return False

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal; gives the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "serving", "--model", "shop", *arguments]


def environment(home: Path, **variables: object) -> dict[str, str]:
    """This process's environment without its CHURN_* and AWS_* variables, and with those that are given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CHURN_", "AWS_"))}
    given = {name: str(value) for name, value in variables.items()}
    return {**kept, "CHURN_HOME": str(home), "CHURN_DRAIN_SECONDS": "0", **given}


def started(
    home: Path, log: Path, *arguments: str, key: str = "", tls: ssl.SSLContext | None = None, **variables: object
) -> Predictor:
    """A predictor that was just started on free ports; whoever calls this ends it."""
    http_port, grpc_port = free_port(), free_port()
    ports = ["--http-port", str(http_port), "--grpc-port", str(grpc_port)]
    with log.open("ab") as said:
        process = subprocess.Popen(
            command(*ports, *arguments), cwd=ROOT, env=environment(home, **variables), stdout=said, stderr=said
        )
    return Predictor(process, http_port, grpc_port, log, key, tls)


@contextmanager
def running(
    home: Path, log: Path, *arguments: str, key: str = "", tls: ssl.SSLContext | None = None, **variables: object
) -> Iterator[Predictor]:
    """A predictor that is ready, with `arguments` of its command line (`--workers`, `2`) and CHURN_* `variables`."""
    predictor = started(home, log, *arguments, key=key, tls=tls, **variables)
    process = predictor.process
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


def start(home: Path, *arguments: str, **variables: object) -> subprocess.CompletedProcess[str]:
    """A predictor that is expected to end by itself."""
    return subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=environment(home, **variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
