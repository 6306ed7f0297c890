"""Old predictions leave the database for Parquet, and none is lost or doubled on the way."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import psycopg2
import pyarrow.parquet as pq
import pytest

from churn.domain.errors import UserError
from churn.stores import objects
from churn.stores.privacy.months import Due, after, month_of, months
from churn.stores.privacy.retention import Archive, retain
from local import privacy
from tests.integration.privacy.household import CANARY, DAY_S, OTHER, Home, killed_at
from tests.unit.stores.prediction_log.samples import matrix, record

NOW = dt.datetime(2026, 11, 20, 15, 30, tzinfo=dt.UTC)
BEFORE = dt.datetime(2026, 8, 22, tzinfo=dt.UTC)


def logged(home: Home, *moments: dt.datetime, rows: int = 2, **changes: Any) -> None:
    """A request of so many rows at each time."""
    log = home.log()
    for moment in moments:
        names = [home.pseudonym(), *[home.pseudonym(OTHER)] * (rows - 1)]
        log.append(
            record(rows, at=moment.timestamp(), customers=names, features=matrix(*[(1, 2.5, 2)] * rows), **changes)
        )
    assert log.close()


def archived(home: Home) -> list[dict[str, Any]]:
    store = objects.open_store(home.settings)
    return [row for address in store.list("archive/") for row in pq.read_table(store.fetch(address)).to_pylist()]


def identities(rows: list[dict[str, Any]]) -> list[tuple[bytes, int]]:
    return sorted((row["record"], row["row"]) for row in rows)


def test_what_is_old_lies_in_parquet_by_month_and_version_and_only_there(home: Home) -> None:
    old = [BEFORE - dt.timedelta(days=days, microseconds=1) for days in (0, 3, 30, 60)]
    logged(home, *old)
    logged(home, BEFORE, NOW)
    logged(home, old[0], version=4, rows=3)
    before = home.logged()

    done = retain(home.settings, 90, NOW)

    assert done.before == BEFORE
    assert [(file.month, file.rows, "/version=4/" in file.key) for file in done.files] == [
        ("2026-06", 2, False), ("2026-07", 2, False), ("2026-08", 4, False), ("2026-08", 3, True),
    ]  # fmt: skip
    assert done.files[0].key.startswith("archive/predictions/month=2026-06/model=telco/version=3/")
    assert all(row["predicted_at"] >= BEFORE for row in home.logged())
    assert identities(archived(home) + home.logged()) == identities(before)
    assert [row for row in archived(home) if row in before] == archived(home), "as they were, to the letter"
    assert archived(home)[0]["features"] == {"tenure": 1, "version": 2.5, "contract": "Two year"}
    assert retain(home.settings, 90, NOW).files == []
    assert not objects.open_store(home.settings).list("archive/pending/")


def test_months_that_are_over_are_dropped_and_those_to_come_are_there(on_servers: Home) -> None:
    logged(on_servers, BEFORE - dt.timedelta(days=40), BEFORE - dt.timedelta(days=3), dt.datetime.now(dt.UTC))
    done = retain(on_servers.settings, 90, NOW)
    assert done.months == ["2026-07", "2026-08"]
    assert done.months_ahead == 4
    with psycopg2.connect(on_servers.settings.database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'predictions'::regclass")
        left = {name for (name,) in cursor.fetchall()}
    assert "predictions_y2026m07" not in left
    assert "predictions_y2026m08" in left
    month = month_of(dt.datetime.now(dt.UTC))
    assert {f"predictions_y{after(month, ahead):%Ym%m}" for ahead in range(4)} <= left


@pytest.mark.parametrize("name", ["drop", "_publish", "_set_down"])
def test_a_kill_loses_nothing_and_doubles_nothing(home: Home, name: str) -> None:
    logged(home, *[BEFORE - dt.timedelta(days=days) for days in (1, 2, 31)])
    logged(home, BEFORE - dt.timedelta(days=1), version=4)
    before = home.logged()
    owner = type(months(home.settings.database)) if name == "drop" else Archive
    killed_at(owner, name, lambda: retain(home.settings, 90, NOW), call=2)

    retain(home.settings, 90, NOW)
    assert home.logged() == []
    assert identities(archived(home)) == identities(before)
    assert not objects.open_store(home.settings).list("archive/pending/")


def test_who_writes_to_an_old_month_meanwhile_loses_nothing(home: Home, monkeypatch) -> None:
    logged(home, BEFORE - dt.timedelta(days=40))
    late = [BEFORE - dt.timedelta(days=39)]
    log = months(home.settings.database)
    whole = type(log).drop

    def drop(self, due: Due, rows: int) -> bool:
        if late:
            logged(home, late.pop())
        return whole(self, due, rows)

    monkeypatch.setattr(type(log), "drop", drop)
    retain(home.settings, 90, NOW)
    assert home.logged() == []
    assert len(identities(archived(home))) == len(set(identities(archived(home)))) == 4


def test_who_reads_an_old_month_for_long_is_waited_for_and_writers_do_not_wait(on_servers: Home, monkeypatch) -> None:
    monkeypatch.setattr("churn.stores.privacy.retention._ATTEMPTS", 1)
    monkeypatch.setattr("churn.stores.privacy.months._LOCK_S", 1)
    logged(on_servers, BEFORE - dt.timedelta(days=40))
    reader = psycopg2.connect(on_servers.settings.database)
    reader.cursor().execute("SELECT count(*) FROM predictions")
    with pytest.raises(UserError, match="2026-07: is in use"):
        retain(on_servers.settings, 90, NOW)
    assert len(on_servers.logged()) == 2
    assert archived(on_servers) == []
    reader.close()
    assert len(retain(on_servers.settings, 90, NOW).files) == 1


def test_erased_from_the_archive_is_erased(home: Home) -> None:
    home.predicted(40)
    assert [file.rows for file in privacy.archive(30).files] == [2]
    done = privacy.erase(CANARY)
    assert [(held.rows, held.where[:8]) for held in done.erased if held.where.startswith("archive/")] == [
        (1, "archive/")
    ]
    assert [row["customer"] for row in archived(home)] == [home.pseudonym(OTHER)]


def test_an_erasure_decides_about_what_a_killed_run_left_first(on_files: Home) -> None:
    on_files.predicted(40, 41)
    killed_at(type(months(on_files.settings.database)), "drop", lambda: privacy.archive(30))
    assert objects.open_store(on_files.settings).list("archive/pending/")
    privacy.erase(CANARY)
    assert not objects.open_store(on_files.settings).list("archive/")
    assert {row["customer"] for row in on_files.logged()} == {on_files.pseudonym(OTHER)}
    privacy.archive(30)
    assert len(archived(on_files)) == 2


def test_without_a_log_there_is_nothing_to_keep(on_files: Home) -> None:
    assert privacy.archive(90).files == []


@pytest.mark.parametrize("days", [0, 36_526, 10_000_000, 99_999_999_999])
def test_days_that_cannot_be_are_refused(on_files: Home, days: int) -> None:
    with pytest.raises(UserError, match=f"--days: {days} days cannot be"):
        retain(on_files.settings, days)
    assert retain(on_files.settings, 36_525).files == []


def test_days_are_whole(on_files: Home) -> None:
    today = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    log = on_files.log()
    for at in (today - 30 * DAY_S, today - 30 * DAY_S - 1, time.time()):
        log.append(record(at=at))
    log.close()
    assert sum(file.rows for file in privacy.archive(30).files) == 1
