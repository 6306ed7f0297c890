"""The predictor as a process of its own, in its role's environment."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from churn.domain.errors import UserError
from churn.stores.settings import Settings
from local.runner.environments import Environments

_READY_WITHIN = 60.0
_STOPS_WITHIN = 15.0


@dataclass(frozen=True)
class Address:
    """Where a predictor listens."""

    http: str
    grpc: str


@dataclass(frozen=True)
class Where:
    """What is served, where, and by how many processes."""

    model: str
    http_port: int
    grpc_port: int
    host: str = "127.0.0.1"
    workers: int = 1


def replace_process(where: Where) -> None:
    """Becomes the predictor: signals, exit code and output are its own."""
    command, environment = _command(where), _environment()
    sys.stdout.flush()
    os.execve(command[0], command, environment)  # noqa: S606 - the interpreter of a role


@contextmanager
def running(model: str, log: Path) -> Iterator[Address]:
    """A predictor on free ports, ready to answer, gone at the end."""
    http_port, grpc_port = free_port(), free_port()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the interpreter of a role
            _command(Where(model, http_port, grpc_port)), stdout=output, stderr=output, env=_environment()
        )
        try:
            address = Address(f"http://127.0.0.1:{http_port}", f"127.0.0.1:{grpc_port}")
            _wait(process, address, model, log)
            yield address
        finally:
            _stop(process)


def free_port() -> int:
    """A port that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _command(where: Where) -> list[str]:
    options = {
        "--model": where.model,
        "--host": where.host,
        "--http-port": str(where.http_port),
        "--grpc-port": str(where.grpc_port),
        "--workers": str(where.workers),
    }
    python = str(Environments().python("model-serving"))
    return [python, "-m", "serving", *(word for pair in options.items() for word in pair)]


def _environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parent.parent)
    return {**os.environ, **Settings.load().prepare().environment(), "PYTHONPATH": root}


def _wait(process: subprocess.Popen[bytes], address: Address, model: str, log: Path) -> None:
    deadline = time.monotonic() + _READY_WITHIN
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = log.read_text(errors="replace").strip().splitlines()
            raise UserError(said[-1] if said else "the predictor ended at once", where=str(log))
        try:
            if httpx.get(f"{address.http}/v2/models/{model}/ready", timeout=2).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise UserError(f"the predictor was not ready within {_READY_WITHIN:.0f} s", where=str(log))


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOPS_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
