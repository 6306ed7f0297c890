"""Feast's `FeatureStore` from the settings: registry in a file or PostgreSQL; online SQLite, Redis or PostgreSQL."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from churn.stores import files
from churn.stores.addresses import sqlite_file
from churn.stores.settings import Settings
from feature_repo import frozen, registry
from feature_repo.quiet import feast


def open_store(settings: Settings, project: str) -> feast.FeatureStore:
    """The store with its offline side, which needs duckdb. Raises UserError when there is no registry."""
    from feature_repo.offline import ObjectStoreOfflineStoreConfig

    return _open(settings, project, ObjectStoreOfflineStoreConfig(settings=settings))


def open_online(settings: Settings, project: str) -> feast.FeatureStore:
    """The store without an offline side, as the predictor needs it. Raises UserError when there is no registry."""
    return _open(settings, project, None)


def prepare(settings: Settings) -> None:
    """Makes what the first registration needs: an empty registry file, an SQLite file whose readers never wait."""
    if _is_file(settings):
        registry.create(Path(settings.feast_registry))
    online = sqlite_file(settings.online_store)
    if online is not None:
        online.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(online)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.close()


@contextmanager
def registry_lock(settings: Settings) -> Iterator[None]:
    """Held by whoever changes a registry file (changes are made in memory and written whole). PostgreSQL needs none."""
    if not _is_file(settings):
        yield
        return
    with files.locked(Path(f"{settings.feast_registry}.lock")):
        yield


def _is_file(settings: Settings) -> bool:
    return "://" not in settings.feast_registry


def _open(settings: Settings, project: str, offline: Any) -> feast.FeatureStore:
    config = feast.RepoConfig(
        project=project,
        provider="local",
        registry=_registry(settings),
        online_store=_online(settings.online_store),
        offline_store=offline,
        entity_key_serialization_version=frozen.KEY_VERSION,
    )
    return feast.FeatureStore(config=config)


def _registry(settings: Settings) -> dict[str, Any]:
    if _is_file(settings):
        store = f"{registry.__name__}.{registry.WholeFileRegistryStore.__name__}"
        return {"registry_type": "file", "registry_store_type": store, "path": settings.feast_registry}
    return {"registry_type": "sql", "path": f"postgresql+psycopg{settings.feast_registry.removeprefix('postgresql')}"}


def _online(address: str) -> dict[str, Any]:
    """Feast's configuration of the online store at a URL of `Settings.online_store`."""
    file = sqlite_file(address)
    if file is not None:
        return {"type": "sqlite", "path": str(file)}
    parts = urlsplit(address)
    return _postgres(parts) if parts.scheme == "postgresql" else _redis(parts)


def _redis(parts: SplitResult) -> dict[str, Any]:
    """Feast splits its connection string at commas and reads values as JSON.

    Its own check of timestamps is off: it would keep a value from being corrected at the same timestamp."""
    options = {
        "db": int(parts.path.strip("/") or 0),
        "username": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "ssl": parts.scheme == "rediss",
    }
    given = [f"{name}={json.dumps(value)}".replace(",", r"\u002c") for name, value in options.items() if value]
    connection = ",".join([f"{parts.hostname}:{parts.port or 6379}", *given])
    return {"type": "redis", "connection_string": connection, "skip_dedup": True}


def _postgres(parts: SplitResult) -> dict[str, Any]:
    query = parse_qs(parts.query)
    return {
        "type": "postgres",
        "host": parts.hostname or query.get("host", ["localhost"])[0],
        "port": parts.port or 5432,
        "database": parts.path.strip("/"),
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "sslmode": query.get("sslmode", ["prefer"])[0],
    }
