"""Interpreters of the roles that stay warm between steps, and between runs: importing takes longer than most steps do.

Each has this process's environment, but for what differs between steps, since libraries read variables when they are
imported: when the environment has changed, so is the interpreter. They end with this process, whatever ends it.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from churn.stores.mlflow_client import QUIET
from components.images import Role
from local.runner import guard, zygote

_PROGRAM = (  # what KFP has a shell do for a component, but for the spaces
    "program_path=$(mktemp -d) "
    'printf "%s" "$0" > "$program_path/ephemeral_component.py" '
    "_KFP_RUNTIME=true python3 -m kfp.dsl.executor_main "
    '--component_module_path "$program_path/ephemeral_component.py" "$@"'
)
_BY_STEP = ("CHURN_", "PYTEST_", "TMPDIR")  # no library reads the first two; temporary files are the step's business

# None that starts a thread or opens a file when it is imported: no duckdb, no onnxruntime.
_COMMON = (
    *("kfp.dsl.executor", "numpy", "pyarrow.dataset", "pyarrow.parquet", "pandas"),
    *("onnx", "spox.opset.ai.onnx.ml.v3", "spox.opset.ai.onnx.v21"),
)
_FEAST = (  # prometheus_client first: after Feast it would count in files
    *("prometheus_client", "sqlalchemy.orm", "alembic.migration", "psycopg2", "jinja2"),
    *("ibis", "ibis.backends.sql.compilers", "feature_repo.quiet"),
)
_MODULES: Mapping[Role, Sequence[str]] = {
    "data-processing": (*_COMMON, "pandera.pandas", *_FEAST, "minio"),
    "model-training": (
        *(*_COMMON, "scipy.stats", "sklearn.ensemble", "sklearn.linear_model", "sklearn.pipeline"),
        *("xgboost", "lightgbm", "skl2onnx", "onnxmltools", *_FEAST, "matplotlib.figure"),
        *("mlflow", "mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store"),
    ),
    "model-serving": (*_COMMON, "xgboost", "lightgbm"),
    "monitoring": (*_COMMON, "scipy.stats", "alibi_detect.cd"),
}


def program_of(command: list[str]) -> dict[str, Any] | None:
    """The component's source and the executor's arguments, when the command is KFP's usual one; else none."""
    match command:
        case ["sh", "-ec", script, source, *arguments] if " ".join(script.split()) == _PROGRAM:
            return {"source": source, "arguments": arguments}
    return None


@dataclass(frozen=True)
class Where:
    """The interpreter of a role, and the environment variables of a step in it."""

    role: Role
    python: Path
    variables: Mapping[str, str]


class Forked:
    """A step that a warm interpreter is to fork; the socket is its leash, and brings its exit status."""

    def __init__(self, leash: socket.socket, request: Mapping[str, Any]) -> None:
        self._leash = leash
        self._request = json.dumps(request).encode() + b"\n"

    def wait(self) -> int | None:
        """The exit status, a signal as 128 + its number; none when the interpreter ended before the step began."""
        with self._leash, self._leash.makefile("rb") as lines:
            try:
                self._leash.sendall(self._request)
                began = lines.readline()
            except OSError:
                began = b""
            if not began:
                return None
            return int(lines.readline() or 128 + signal.SIGKILL)  # without a word from it, its guard was killed

    def end(self) -> None:
        """Tells the guard, which ends the step and then itself."""
        with contextlib.suppress(OSError):
            self._leash.shutdown(socket.SHUT_WR)


class Interpreters:
    """The warm interpreters of this process, by path. May be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._zygotes: dict[Path, _Zygote] = {}

    def fork(self, where: Where, request: Mapping[str, Any], log: BinaryIO) -> Forked | None:
        """A step in a child of the warm interpreter, which is started if need be. None when that one has ended."""
        shared = _shared(where.variables)
        with self._lock:
            found = self._zygotes.get(where.python)
            if found and found.variables != shared:
                found.close()
                found = None
            leash = (found or self._started(where)).fork(log)
        return Forked(leash, request) if leash else None

    def warm(self, where: Where) -> None:
        """Starts an interpreter, unless there is one. It loads its libraries while this process goes on."""
        with self._lock:
            if where.python not in self._zygotes:
                self._started(where)

    def _started(self, where: Where) -> _Zygote:
        started = self._zygotes[where.python] = _Zygote(where.python, _shared(where.variables), _MODULES[where.role])
        return started

    def close(self) -> None:
        """Ends them and gives their memory back. Steps that run go on; the next one starts an interpreter again."""
        with self._lock:
            while self._zygotes:
                self._zygotes.popitem()[1].close()


def _shared(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if not name.startswith(_BY_STEP)}


class _Zygote:
    def __init__(self, python: Path, variables: Mapping[str, str], modules: Sequence[str]) -> None:
        self.variables = variables
        scratch = Path(tempfile.mkdtemp(prefix="churn-"))
        self._control, theirs = socket.socketpair()
        with theirs:
            self._guard = guard.start(
                [python, "-m", zygote.__name__, str(theirs.fileno()), *modules],
                scratch,
                cwd=scratch,
                env={**QUIET, **variables, "TMPDIR": str(scratch)},  # QUIET: as our steps do before importing MLflow
                output=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def fork(self, log: BinaryIO) -> socket.socket | None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [b"."], [theirs.fileno(), log.fileno()])
            except OSError:  # it has ended
                ours.close()
                return None
        return ours

    def close(self) -> None:
        self._control.close()
        self._guard.communicate()


INTERPRETERS = Interpreters()
atexit.register(INTERPRETERS.close)
