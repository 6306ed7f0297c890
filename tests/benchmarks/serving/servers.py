"""The servers that take part, and how each is started."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.benchmarks.serving import ours, processes
from tests.benchmarks.serving.model import NAME, ROOT, Trained
from tests.benchmarks.serving.ours import Production
from tests.benchmarks.serving.processes import Process
from tests.servers import free_port

MLSERVER_PYTHON = ROOT / ".venvs/mlserver/bin/python"
_PEERS = Path(__file__).with_name("peers")
_MODULES = "tests.benchmarks.serving.peers"


@dataclass(frozen=True)
class Server:
    """A running server; `headers` go with every request."""

    name: str
    process: Process
    http_port: int
    grpc_port: int
    headers: Mapping[str, str] = field(default_factory=dict)


Launch = Callable[[int, int], tuple[Sequence[str], Mapping[str, str], str]]
"""From an HTTP and a gRPC port: the command, its environment, and the path that says that the server is ready."""


class Servers:
    """The servers of a run, by name. What could not be started is in `absent`, with the reason."""

    def __init__(self, folder: Path, trained: Trained, production: Production) -> None:
        self._folder, self._trained, self._production = folder, trained, production
        self._stack = ExitStack()
        self.running: dict[str, Server] = {}
        self.absent: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def start(self) -> None:
        """Starts all of them, one after the other. A peer that does not start is left out; ours has to."""
        self._add("naive", self._uvicorn("naive"))
        self._add("naive x2", self._uvicorn("naive", workers=2))
        self._add("lean", self._uvicorn("lean"))
        self._try("stock kserve", self._kserve)
        self._try("MLServer", self._mlserver)
        self._add("empty HTTP", self._uvicorn("empty_http"))
        self._add("empty gRPC", self._empty_grpc)
        self._add("ours", self._ours("ours", 1), self._production.headers)
        self._add("ours x2", self._ours("ours x2", 2), self._production.headers)

    def time_start(self) -> float:
        """Starts ours once, and stops it; seconds until it was ready."""
        with ExitStack() as stack:
            return self._launched("ours", self._ours("ours", 1), stack, {}).process.started_s

    def _try(self, name: str, launch: Launch) -> None:
        try:
            self._add(name, launch)
        except (RuntimeError, OSError) as error:
            self.absent[name] = str(error)

    def _add(self, name: str, launch: Launch, headers: Mapping[str, str] | None = None) -> None:
        self.running[name] = self._launched(name, launch, self._stack, headers or {})

    def _launched(self, name: str, launch: Launch, stack: ExitStack, headers: Mapping[str, str]) -> Server:
        http_port, grpc_port = free_port(), free_port()
        command, environment, ready = launch(http_port, grpc_port)
        log = self._folder / f"{name.replace(' ', '-')}.log"
        url = f"http://127.0.0.1:{http_port}{ready}"
        process = stack.enter_context(processes.running(command, environment, url, log, ROOT))
        return Server(name, process, http_port, grpc_port, headers)

    def _ours(self, name: str, workers: int) -> Launch:
        environment = self._production.environment_of(name)
        return lambda http, grpc: (ours.command(http, grpc, workers), environment, ours.READY)

    def _uvicorn(self, peer: str, workers: int = 1) -> Launch:
        options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
        application = f"{_MODULES}.{peer}:app"

        def launch(http_port: int, _: int) -> tuple[Sequence[str], Mapping[str, str], str]:
            where = ["--port", str(http_port), "--workers", str(workers)]
            return [sys.executable, "-m", "uvicorn", application, *where, *options], self._environment(), "/health"

        return launch

    def _kserve(self, http_port: int, grpc_port: int) -> tuple[Sequence[str], Mapping[str, str], str]:
        where = [f"--http_port={http_port}", f"--grpc_port={grpc_port}", f"--model_name={NAME}"]
        command = [sys.executable, "-m", f"{_MODULES}.stock_kserve", *where]
        return command, self._environment(), f"/v2/models/{NAME}/ready"

    def _mlserver(self, http_port: int, grpc_port: int) -> tuple[Sequence[str], Mapping[str, str], str]:
        if not MLSERVER_PYTHON.exists():
            raise RuntimeError("its environment is not there: make .venvs/mlserver/.installed")
        folder = self._folder / "mlserver"
        folder.mkdir()
        ports = {"http_port": http_port, "grpc_port": grpc_port, "metrics_port": free_port()}
        # One process, as the others have it: by default MLServer hands each request to a second one.
        settings = {"host": "127.0.0.1", "debug": False, "parallel_workers": 0, **ports}
        (folder / "settings.json").write_text(json.dumps(settings))
        text = [name for name, column in self._trained.contract.columns.items() if column.type == "category"]
        inputs = [
            {"name": name, "datatype": "BYTES", "shape": [-1], "parameters": {"content_type": "str"}} for name in text
        ]
        model = {"name": NAME, "implementation": "mlserver_runtime.Churn", "inputs": inputs}
        (folder / "model-settings.json").write_text(json.dumps(model))
        environment = {**self._environment(), "PYTHONPATH": str(_PEERS)}
        command = [str(MLSERVER_PYTHON.with_name("mlserver")), "start", str(folder)]
        return command, environment, f"/v2/models/{NAME}/ready"

    def _empty_grpc(self, http_port: int, grpc_port: int) -> tuple[Sequence[str], Mapping[str, str], str]:
        command = [sys.executable, "-m", f"{_MODULES}.empty_grpc", str(http_port), str(grpc_port)]
        return command, self._environment(), "/"

    def _environment(self) -> dict[str, str]:
        """The peers' settings; one thread for whatever might take more."""
        return {
            **os.environ,
            "PEER_PIPELINE": str(self._trained.pipeline),
            "PEER_THRESHOLD": str(self._trained.threshold),
            "PEER_HIGH_RISK": str(self._trained.high_risk),
            "OMP_NUM_THREADS": "1",
        }
