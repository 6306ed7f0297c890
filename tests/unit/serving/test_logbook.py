from __future__ import annotations

import time
from pathlib import Path
from threading import Thread

import msgspec
import pytest

from churn.domain.errors import UserError
from churn.stores.prediction_log import reading
from churn.stores.prediction_log.pseudonyms import Pseudonyms
from churn.stores.prediction_log.records import LogStatus
from churn.stores.settings import Settings
from serving.access.admission import Access
from serving.answering import Answering
from serving.call import Call
from serving.lineup import Lineup
from serving.logbook import Logbook
from serving.metrics import Metrics
from serving.recording import Recorder
from serving.settings import ServingSettings
from serving.version import Version
from tests import bundles
from tests.servers import free_port
from tests.unit.serving.conftest import asked, run


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return bundles.settings_of(tmp_path)


def opened(home: Settings, metrics: Metrics, **env: str) -> Logbook:
    return Logbook(home, ServingSettings.load(env, home), metrics)


def value(metrics: Metrics, line: str) -> float:
    (found,) = (one for one in metrics.render().decode().splitlines() if one.startswith(f"{line} "))
    return float(found.rsplit(" ", 1)[1])


@pytest.mark.parametrize("durability", ["batched", "durable"])
def test_answers_reach_the_database_by_the_time_it_is_closed(
    home: Settings, shop: Version, access: Access, durability: str
) -> None:
    metrics = Metrics()
    book = opened(home, metrics, CHURN_LOG_DURABILITY=durability)
    book.describe(shop.contract)
    answering = Answering("shop", Lineup(shop), Recorder(metrics, book.log, access), 100)
    found = run(
        answering.answer(asked(bundles.CUSTOMER, {**bundles.CUSTOMER, "visits": 30}), Call("v1 predict", "r-1"))
    )
    book.close()
    rows = [row for batch in reading.read(home.database) for row in batch.to_pylist()]
    assert [row["probability"] for row in rows] == pytest.approx(found.probability)
    assert [row["risk"] for row in rows] == found.risk
    assert {(row["request_id"], row["model"], row["version"], row["variant"]) for row in rows} == {
        ("r-1", "shop", 1, "champion")
    }
    assert [row["features"]["visits"] for row in rows] == [12, 30]


def test_where_the_log_stands_is_measured_and_counters_only_grow(home: Settings, shop: Version, access: Access) -> None:
    metrics = Metrics()
    book = opened(home, metrics)
    book.describe(shop.contract)
    recorder = Recorder(metrics, book.log, access)
    answering = Answering("shop", Lineup(shop), recorder, 100)
    run(answering.answer(asked(*[bundles.CUSTOMER] * 5), Call("v1 predict", "r-1")))
    for _ in range(3):
        book.measure()
    in_flight = sum(value(metrics, f'churn_log_rows{{place="{place}"}}') for place in ("queued", "spooled"))
    assert in_flight + value(metrics, "churn_log_written_rows_total") >= 5
    book.close()
    assert value(metrics, "churn_log_lost_rows_total") == 0


def test_rows_are_counted_once_however_many_measure_at_the_same_time(
    home: Settings, shop: Version, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = Metrics()
    book = opened(home, metrics)
    book.describe(shop.contract)
    answering = Answering("shop", Lineup(shop), Recorder(metrics, book.log, access), 100)
    run(answering.answer(asked(*[bundles.CUSTOMER] * 5), Call("v1 predict", "r-1")))
    status = book._writer.status
    deadline = time.monotonic() + 30
    while status().written_rows < 5:
        assert time.monotonic() < deadline
        time.sleep(0.02)

    def slowly() -> LogStatus:
        found = status()
        time.sleep(0.02)
        return found

    monkeypatch.setattr(book._writer, "status", slowly)
    threads = [Thread(target=book.measure) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert value(metrics, "churn_log_written_rows_total") == 5
    book.close()


def test_without_a_log_nothing_is_opened_and_nothing_made(home: Settings) -> None:
    book = opened(home, Metrics(), CHURN_LOG_DURABILITY="off")
    assert book.log is None
    book.describe(bundles.shop())
    book.measure()
    book.close()
    assert not (home.home / "spool").exists()
    assert not (home.home / "keys").exists()


def test_a_key_that_is_none_stops_the_start(home: Settings, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_text("short")
    with pytest.raises(UserError, match="holds no key"):
        opened(home, Metrics(), CHURN_LOG_KEY=str(key))


def test_a_key_that_is_not_the_logs_stops_the_start(home: Settings, tmp_path: Path) -> None:
    opened(home, Metrics()).close()
    Pseudonyms.load(tmp_path / "another")
    with pytest.raises(UserError, match="another: is not the key"):
        opened(home, Metrics(), CHURN_LOG_KEY=str(tmp_path / "another"))


def test_without_its_database_it_starts(home: Settings, caplog: pytest.LogCaptureFixture) -> None:
    away = msgspec.structs.replace(home, database=f"postgresql://churn@127.0.0.1:{free_port()}/churn")
    book = opened(away, Metrics())
    assert book.log is not None
    assert "whose key" in caplog.text


@pytest.mark.parametrize("durability", ["batched", "durable"])
def test_a_spool_that_takes_nothing_is_told_while_it_is_so(
    home: Settings, shop: Version, access: Access, tmp_path: Path, durability: str
) -> None:
    (tmp_path / "spool").write_text("a file where a folder should be")
    metrics = Metrics()
    book = opened(home, metrics, CHURN_LOG_DURABILITY=durability, CHURN_LOG_SPOOL=str(tmp_path / "spool"))
    answering = Answering("shop", Lineup(shop), Recorder(metrics, book.log, access), 100)

    def stuck() -> float:
        run(answering.answer(asked(bundles.CUSTOMER), Call("v1 predict", "r-1")))
        time.sleep(0.1)
        book.measure()
        return value(metrics, 'churn_log_stuck{place="spool"}')

    deadline = time.monotonic() + 30
    while not stuck():
        assert time.monotonic() < deadline
    assert value(metrics, 'churn_log_stuck{place="left"}') == 0
    (tmp_path / "spool").unlink()
    while stuck():
        assert time.monotonic() < deadline
    book.close()
    assert value(metrics, "churn_log_lost_rows_total") == 0
