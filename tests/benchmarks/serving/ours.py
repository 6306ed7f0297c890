"""Our predictor as it runs in production: validation, prediction log, keys and metrics all on. Every option is here."""

from __future__ import annotations

import json
import os
import re
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from churn.stores import database, objects
from churn.stores.settings import Settings
from churn.stores.traffic import Variant
from local.runner.environments import Environments
from tests.benchmarks.serving.model import NAME, Trained
from tests.bundles import put_in_charge, remember
from tests.servers import postgres_server, redis_server

READY = f"/v2/models/{NAME}/ready"
_VERSION = 1
_PATIENCE_S = 30


@dataclass(frozen=True)
class Production:
    """What our servers share: the promoted model, stores, a key. `missing` says what is not as in production."""

    environment: Mapping[str, str]
    key: str
    redis: str
    missing: tuple[str, ...]

    @property
    def headers(self) -> dict[str, str]:
        """What a caller shows at the door, over both protocols."""
        return {"x-api-key": self.key}

    def environment_of(self, name: str) -> dict[str, str]:
        """Of one server of several on this machine, which keep their spools apart."""
        return {
            **self.environment,
            "CHURN_LOG_SPOOL": f"{self.environment['CHURN_HOME']}/spool-{name.replace(' ', '-')}",
        }

    def logged(self) -> int:
        """Rows of the prediction log that have arrived in the database."""
        with database.reached(self.environment["CHURN_DATABASE"]) as engine, engine.connect() as connection:
            return int(connection.exec_driver_sql("SELECT count(*) FROM predictions").scalar_one())


@contextmanager
def production(home: Path, trained: Trained, customers: Mapping[str | int, Mapping[str, Any]]) -> Iterator[Production]:
    """Promotes the model, migrates a PostgreSQL, and fills a Redis with `customers` through Feast."""
    missing: list[str] = []
    with redis_server() as redis, _database(home, missing) as url:
        addresses = {"CHURN_HOME": str(home), "CHURN_ONLINE_STORE": redis, "CHURN_DATABASE": url}
        settings = Settings.load(addresses).prepare()
        address = objects.open_store(settings).put_folder(trained.folder, f"bundles/{trained.digest}")
        put_in_charge(settings, NAME, Variant(_VERSION, trained.digest, address))
        database.migrate(url)
        seen = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
        remember(settings, trained.contract, customers, seen)
        key = _key(home / "keys.yaml")
        options = {"CHURN_API_KEYS": str(home / "keys.yaml"), "CHURN_LOG_DURABILITY": "batched"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CHURN_", "AWS_"))}
        yield Production({**kept, **addresses, **options}, key, redis, tuple(missing))


def python() -> str:
    """The interpreter of the predictor's image: in this process's own XGBoost would find scikit-learn, and load it."""
    return str(Environments().python("model-serving"))


def command(http_port: int, grpc_port: int, workers: int = 1) -> list[str]:
    ports = ["--http-port", str(http_port), "--grpc-port", str(grpc_port)]
    return [python(), "-m", "serving", "--model", NAME, *ports, "--workers", str(workers)]


def settled(http_port: int, headers: Mapping[str, str]) -> dict[str, float]:
    """A server's own counts, by its metrics' names, over all labels: once its log is written, or takes too long."""
    deadline = time.monotonic() + _PATIENCE_S
    while (found := _counted(http_port, headers)).get("churn_log_rows") and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def _counted(http_port: int, headers: Mapping[str, str]) -> dict[str, float]:
    request = urllib.request.Request(f"http://127.0.0.1:{http_port}/metrics", headers=dict(headers))
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read().decode()
    found: dict[str, float] = {}
    for name, value in re.findall(r"^(churn_\w+)(?:\{[^}]*\})? (\S+)", text, re.MULTILINE):
        found[name] = found.get(name, 0.0) + float(value)
    return found


@contextmanager
def _database(home: Path, missing: list[str]) -> Iterator[str]:
    """PostgreSQL; SQLite where none can be started, which is then said."""
    try:
        server = postgres_server()
        url = server.__enter__()
    except Exception as error:  # noqa: BLE001 - whatever keeps it from starting
        missing.append(f"the prediction log is in SQLite, because no PostgreSQL starts here: {type(error).__name__}")
        yield f"sqlite:///{home}/predictions.db"
        return
    try:
        yield url
    finally:
        server.__exit__(None, None, None)


def _key(path: Path) -> str:
    """A key for predictions and explanations, in a file as `churn keys create` writes it."""
    from serving.access import keys

    identity, key, digest = keys.make()
    entry = {"id": identity, "name": "benchmark", "hash": digest, "scopes": ["predict", "explain"], "bulk": True}
    path.write_text(json.dumps({"keys": [entry]}), encoding="utf-8")  # JSON is YAML
    path.chmod(0o600)
    return key
