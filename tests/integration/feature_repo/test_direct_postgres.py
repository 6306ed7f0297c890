"""A store that is not read directly goes through Feast, behind the same deadline and breaker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg2
import pytest

from churn.stores.settings import Settings
from feature_repo.direct.errors import BadIdError, StoreAwayError
from feature_repo.direct.reader import open_reader
from feature_repo.frozen import freeze
from feature_repo.materialisation import materialise
from feature_repo.registration import apply
from tests.integration.feature_repo.samples import NOW, contract, customer, write_source
from tests.servers import free_port

MADE = contract(name="direct-postgres")
Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def filled(postgres: str, tmp_path: Path) -> Settings:
    settings = Settings.load({"CHURN_HOME": str(tmp_path / "home"), "CHURN_ONLINE_STORE": postgres})
    apply(settings, MADE, write_source(MADE, tmp_path / "run", [customer("a", NOW, tenure=1)]))
    materialise(settings, MADE, NOW)
    return settings


def test_a_lost_connection_is_one_failed_read(filled: Settings, postgres: str, run: Run) -> None:
    reader = open_reader(filled, MADE, freeze(MADE), deadline=10)
    run(reader.warm())
    assert run(reader.read(["a", "nobody"])).columns[0, 0] == 1
    with psycopg2.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'churn'"
        )
    with pytest.raises(StoreAwayError):
        run(reader.read(["a"]))
    assert run(reader.read(["a"])).columns[0, 0] == 1
    with pytest.raises(BadIdError):
        run(reader.read(["\ud800"]))
    reader.close()


def test_a_database_that_is_away_is_told_without_its_password(
    filled: Settings, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    away = msgspec.structs.replace(filled, online_store=f"postgresql://churn:sesame@127.0.0.1:{free_port()}/churn")
    reader = open_reader(away, MADE, freeze(MADE), deadline=10)
    for _ in range(8):
        with pytest.raises(StoreAwayError):
            run(reader.read(["anna-karenina"]))
    assert len(caplog.messages) == 1
    assert "OperationalError" in caplog.text
    assert "sesame" not in caplog.text
    assert "anna-karenina" not in caplog.text
    reader.close()


def test_a_table_that_is_locked_is_away_after_the_deadline(filled: Settings, postgres: str, run: Run) -> None:
    reader = open_reader(filled, MADE, freeze(MADE), deadline=0.2)
    run(reader.warm())
    with psycopg2.connect(postgres) as connection, connection.cursor() as cursor:
        online = freeze(MADE)
        cursor.execute(f'LOCK TABLE "{online.project}_{online.view}" IN ACCESS EXCLUSIVE MODE')
        with pytest.raises(StoreAwayError) as away:
            run(reader.read(["a"]))
        assert isinstance(away.value.__cause__, TimeoutError)
        connection.rollback()
    assert run(reader.read(["a"])).columns[0, 0] == 1
    reader.close()
