from __future__ import annotations

import datetime as dt
import logging
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from churn.domain import parsing
from churn.domain.encoding import encode
from churn.domain.synthetic.population import Population
from churn.stores.database import migrate
from churn.stores.prediction_log.reading import Query, read
from churn.stores.prediction_log.records import new_record
from churn.stores.settings import Settings
from feature_repo import contracts
from tests.unit.stores.prediction_log.samples import LAYOUT, NAN, log, matrix, record

DURABILITIES = ["batched", "durable"]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/new/churn.db"


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def test_records_are_uuids_in_the_order_of_their_time() -> None:
    before = time.time_ns() // 1_000_000
    made = [uuid.UUID(bytes=new_record()) for _ in range(10_000)]
    milliseconds = [one.int >> 80 for one in made]

    assert {(one.version, one.variant) for one in made} == {(7, uuid.RFC_4122)}
    assert len({one.int & (1 << 62) - 1 for one in made}) == 10_000
    assert milliseconds == sorted(milliseconds)
    assert before <= milliseconds[0] <= milliseconds[-1] <= time.time_ns() // 1_000_000


def _rows(url: str, **query: object) -> list[dict[str, object]]:
    return [row for batch in read(url, Query(**query)) for row in batch.to_pylist()]  # type: ignore[arg-type]


def _requests(url: str) -> list[str]:
    """In the order they were inserted."""
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    found = [name for (name,) in connection.execute("SELECT request_id FROM predictions ORDER BY rowid")]
    connection.close()
    return found


def eventually(condition: Callable[[], bool], patience_s: float = 20) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


@pytest.mark.parametrize("durability", DURABILITIES)
def test_what_was_answered_can_be_read_under_its_names(url: str, spool: Path, durability: str) -> None:
    mine = os.urandom(16)
    ours = log(url, spool, durability=durability)
    features = matrix((1, 2.5, 0), (NAN, NAN, NAN), (3, 4, 2))
    what = {"customers": [mine, None, os.urandom(16)], "shadow": True, "variant": "challenger", "features": features}
    ours.append(record(3, at=1_790_000_000.25, **what))
    assert ours.close()

    first, second, third = _rows(url)

    assert first["features"] == {"tenure": 1, "version": 2.5, "contract": "Month-to-month"}
    assert second["features"] == {"tenure": None, "version": None, "contract": None}
    assert third["features"] == {"tenure": 3, "version": 4.0, "contract": "Two year"}
    assert (first["customer"], second["customer"]) == (mine, None)
    assert [(row["row"], row["probability"], row["decision"], row["risk"]) for row in (first, second, third)] == [
        (0, 0.0, False, "low"),
        (1, 1 / 3, False, "medium"),
        (2, 2 / 3, True, "high"),
    ]
    del first["features"], first["row"], first["probability"], first["decision"], first["risk"], first["record"]
    assert str(first.pop("predicted_at")) == "2026-09-21 14:13:20.250000+00:00"
    assert first == {
        "request_id": "request-1",
        "model": "telco",
        "version": 3,
        "variant": "challenger",
        "shadow": True,
        "customer": mine,
        "threshold": 0.5,
        "latency_ms": 1.5,
        "layout": LAYOUT.digest,
    }


def test_features_of_a_contract_come_back_as_they_went_in(url: str, spool: Path, tmp_path: Path) -> None:
    contract = contracts.resolve(Settings.load({"CHURN_HOME": str(tmp_path)}), "telco")
    table = parsing.parse(contract, Population(customers=50, seed=1).labelled()).table
    features = encode(contract, table)
    ours = log(url, spool)
    ours.append(record(50, layout=ours.describe(contract), features=features.tobytes()))
    ours.close()

    (batch,) = read(url)
    again = pa.Table.from_struct_array(batch.column("features"))

    assert again == table.select(list(contract.raw))


def test_reading_can_be_narrowed(url: str, spool: Path) -> None:
    mine = os.urandom(16)
    ours = log(url, spool)
    ours.append(record(request_id="old", at=1_000.0))
    ours.append(record(request_id="mine", at=2_000.0, customers=[mine]))
    ours.append(record(request_id="other version", at=3_000.0, version=4))
    ours.append(record(request_id="other model", at=4_000.0, model="bank"))
    ours.close()

    def requests(**query: object) -> list[object]:
        return [row["request_id"] for row in _rows(url, **query)]

    assert requests(customers=(mine, os.urandom(16))) == ["mine"]
    assert requests(customers=()) == []
    assert requests(version=4) == ["other version"]
    assert requests(model="bank") == ["other model"]
    instants = [dt.datetime.fromtimestamp(at, dt.UTC) for at in (2_000, 3_000)]
    assert requests(since=instants[0], until=instants[1]) == ["mine"]
    assert len(requests()) == 4


@pytest.mark.parametrize("durability", DURABILITIES)
def test_a_log_that_was_closed_leaves_nothing_behind_and_takes_nothing(url: str, spool: Path, durability: str) -> None:
    ours = log(url, spool, durability=durability)
    for _ in range(100):
        ours.append(record())
    assert ours.close()
    assert ours.close(), "twice is as once"
    ours.append(record(7))

    assert list(spool.iterdir()) == []
    assert len(_rows(url)) == 100
    status = ours.status()
    assert (status.written_rows, status.lost_rows, status.queued_rows, status.spooled_bytes) == (100, 7, 0, 0)


def test_rows_are_written_while_the_log_is_open(url: str, spool: Path) -> None:
    ours = log(url, spool)
    ours.append(record(5))

    eventually(lambda: ours.status().written_rows == 5)
    assert ours.status().spooled_rows == 0
    ours.close()


def test_a_segment_is_deleted_when_it_is_old_and_shipped(url: str, spool: Path) -> None:
    ours = log(url, spool, segment_s=0.1)
    ours.append(record(5))
    (folder,) = (eventually(lambda: any(spool.glob("*/*.seg"))), spool.glob("*/*.seg"))[1]

    eventually(lambda: not folder.exists())
    ours.close()
    assert len(_rows(url)) == 5


def test_threads_append_at_once(url: str, spool: Path) -> None:
    ours = log(url, spool, durability="durable", segment_bytes=4096)

    def append() -> None:
        for _ in range(200):
            ours.append(record(2))

    threads = [threading.Thread(target=append) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ours.close()
    assert len(_rows(url)) == 3200


def test_order_is_kept_over_many_segments(url: str, spool: Path) -> None:
    ours = log(url, spool, durability="durable", segment_bytes=4096)
    for number in range(500):
        ours.append(record(request_id=str(number)))
        if number % 100 == 0:
            time.sleep(0.06)  # a chance to roll
    ours.close()

    assert _requests(url) == [str(number) for number in range(500)]


def test_the_tables_are_those_of_the_migration(url: str, tmp_path: Path, spool: Path) -> None:
    """A file that the log made is migrated as any other, and the log writes to one that was migrated."""

    def tables(address: str) -> set[tuple[str, str]]:
        connection = sqlite3.connect(address.removeprefix("sqlite:///"))
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE name LIKE 'prediction%'").fetchall()
        connection.close()
        return set(found)

    migrated = f"sqlite:///{tmp_path}/migrated.db"
    migrate(migrated)
    for address in (url, migrated):
        ours = log(address, spool)
        ours.append(record())
        assert ours.close()

    assert tables(url) == tables(migrated)
    migrate(url)
    assert len(_rows(url)) == 1


def test_an_erased_customer_does_not_come_back_from_a_spool(url: str, spool: Path) -> None:
    erased = os.urandom(16)
    log(url, spool).close()
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    connection.execute("INSERT INTO prediction_erasures VALUES (?, 2000)", (erased,))
    connection.commit()
    connection.close()
    ours = log(url, spool)
    ours.append(record(2, at=1_500.0, customers=[erased, os.urandom(16)]))
    ours.append(record(at=2_500.0, customers=[erased]))
    ours.close()

    assert [(row["row"], row["customer"] == erased) for row in _rows(url)] == [(1, False), (0, True)]


@pytest.mark.parametrize(
    "changes",
    [
        {"probabilities": b"1234567"},
        {"probabilities": b""},
        {"risks": b"\0\0\0"},
        {"features": bytes(24 + 4)},
        {"record": b"short"},
        {"customers": [b"short"]},
        {"customers": [None, None]},
        {"version": 1 << 70},
        {"request_id": "\ud800"},
    ],
    ids=str,
)
@pytest.mark.parametrize("durability", DURABILITIES)
def test_an_unsound_record_is_lost_and_spoils_nothing(
    url: str, spool: Path, durability: str, changes: dict[str, object]
) -> None:
    ours = log(url, spool, durability=durability)
    ours.append(record(request_id="before"))
    ours.append(record(**changes))
    ours.append(record(request_id="behind"))
    ours.close()

    assert _requests(url) == ["before", "behind"]
    assert ours.status().lost_rows == (0 if "probabilities" in changes else 1)


def test_odd_texts_and_clocks_are_brought_into_bounds(url: str, spool: Path) -> None:
    ours = log(url, spool)
    for at in (NAN, -1e300, 1e300, float("inf"), 0.0):
        ours.append(record(at=at, request_id="nul \0 and long " + "x" * 1000))
    ours.close()

    assert sorted({str(row["predicted_at"])[:4] for row in _rows(url)}) == ["1970", "2099"]
    assert {len(str(row["request_id"])) for row in _rows(url)} == {255}


def test_neither_values_nor_ids_are_told_when_all_goes_wrong(
    url: str, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    file = Path(url.removeprefix("sqlite:///"))
    file.parent.mkdir()
    file.write_text("no database" * 500)
    ours = log(url, spool)
    ours.append(record(customers=[b"canary-canary-ca"], request_id="canary", version=1 << 70))
    ours.append(record(customers=[b"canary-canary-ca"], request_id="canary", features=matrix((4242.25, 1, 1))))
    eventually(lambda: bool(ours.status().last_error))
    ours.close(0.5)

    assert "DatabaseError" in caplog.text or "NOTADB" in caplog.text
    assert "canary" not in caplog.text
    assert "4242" not in caplog.text
