from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from churn.domain.errors import UserError
from churn.stores.settings import Settings
from feature_repo import store
from feature_repo.registry import WholeFileRegistryStore


def configured(tmp_path: Path, **env: str) -> Any:
    settings = Settings.load({"CHURN_HOME": str(tmp_path)} | env)
    return store.open_online(settings, "project").config


@pytest.mark.parametrize(
    ("address", "connection"),
    [
        ("redis://localhost", "localhost:6379"),
        ("redis://cache:6380/2", "cache:6380,db=2"),
        ("rediss://me:a%2Cb@cache", r'cache:6379,username="me",password="a\u002cb",ssl=true'),
    ],
)
def test_a_redis_address_becomes_feasts(tmp_path: Path, address: str, connection: str) -> None:
    config = configured(tmp_path, CHURN_ONLINE_STORE=address).online_store
    assert config.connection_string == connection
    assert config.skip_dedup


def test_a_postgresql_address_becomes_feasts(tmp_path: Path) -> None:
    address = "postgresql://me:s%40y@db:5433/churn?sslmode=require"
    config = configured(tmp_path, CHURN_ONLINE_STORE=address).online_store
    assert (config.host, config.port, config.database) == ("db", 5433, "churn")
    assert (config.user, config.password, config.sslmode) == ("me", "s@y", "require")


def test_a_postgresql_registry_speaks_psycopg(tmp_path: Path) -> None:
    registry = configured(tmp_path, CHURN_FEAST_REGISTRY="postgres://me@db/churn").registry
    assert (registry.registry_type, registry.path) == ("sql", "postgresql+psycopg://me@db/churn")


def test_sqlite_and_the_registry_lie_in_the_home_by_absolute_paths(tmp_path: Path) -> None:
    config = configured(tmp_path)
    assert config.online_store.path == f"{tmp_path}/feast/online.db"
    assert config.registry.path == f"{tmp_path}/feast/registry.db"


def test_opening_makes_no_file(tmp_path: Path) -> None:
    configured(tmp_path / "home")
    assert list(tmp_path.iterdir()) == []


def test_preparing_twice_keeps_what_is_there(tmp_path: Path) -> None:
    settings = Settings.load({"CHURN_HOME": str(tmp_path)})
    store.prepare(settings)
    before = {path: path.read_bytes() for path in (tmp_path / "feast").iterdir() if path.is_file()}
    store.prepare(settings)
    assert {path: path.read_bytes() for path in before} == before


def test_a_registry_survives_a_writer_that_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.load({"CHURN_HOME": str(tmp_path)})
    store.prepare(settings)
    registry = WholeFileRegistryStore(store.open_online(settings, "project").config.registry, tmp_path)
    held = registry.get_registry_proto()
    before = Path(settings.feast_registry).read_bytes()

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        registry.update_registry_proto(held)
    assert Path(settings.feast_registry).read_bytes() == before


def test_a_missing_registry_is_not_invented(tmp_path: Path) -> None:
    settings = Settings.load({"CHURN_HOME": str(tmp_path)})
    opened = store.open_online(settings, "project")
    with pytest.raises(UserError, match="registry holds nothing of this contract"):
        opened.list_feature_views()
    assert list(tmp_path.iterdir()) == []
