"""What monitoring found in the database: once, both tables or neither, and since when."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from churn.domain.errors import UserError
from churn.stores.database import engine
from components.files import write_json
from components.monitor_judge.report import Monitoring
from components.monitor_record.page import render
from components.monitor_record.step import Recorded, record
from tests.monitored import AS_OF, DAY, Shop

Watch = Callable[..., Monitoring]


@pytest.fixture
def keep(open_shop: Shop, tmp_path: Path) -> Callable[[Monitoring], Recorded]:
    """Records a judgement."""

    def keep(found: Monitoring) -> Recorded:
        write_json(tmp_path / "judgement.json", found)
        return record(open_shop.settings, tmp_path / "judgement.json")

    return keep


def rows(shop: Shop, statement: str) -> list[Any]:
    with connected(shop) as connection:
        return [tuple(row) for row in connection.execute(sa.text(statement))]


@contextmanager
def connected(shop: Shop) -> Iterator[sa.Connection]:
    database = engine(shop.settings.database)
    with database.begin() as connection:
        yield connection
    database.dispose()


def test_a_judgement_is_written_with_its_findings_and_again_once(open_shop: Shop, watch: Watch, keep: Any) -> None:
    open_shop.log(400, AS_OF, shift=100.0)
    found = watch(open_shop)
    for _ in range(2):
        assert set(keep(found).since) == {one.name for one in found.drift.drifted}
    [(status, count, findings)] = rows(open_shop, "SELECT status, judged, findings FROM drift_reports")
    assert (status, count) == ("drifted", 400)
    findings = msgspec.json.decode(findings) if isinstance(findings, str) else findings
    assert [one["name"] for one in findings] == [*open_shop.contract.raw, "probability"]


def test_since_when_is_the_first_window_of_an_unbroken_row(open_shop: Shop, watch: Watch, keep: Any) -> None:
    shifts = [300.0, 0.0, 300.0, 300.0]
    for place, shift in enumerate(shifts):
        open_shop.log(400, AS_OF + 10 * place * DAY, shift=shift)
        found = keep(watch(open_shop, as_of=AS_OF + 10 * place * DAY, days=5))
    unjudged = keep(watch(open_shop, as_of=AS_OF + 36 * DAY, days=1))
    assert (unjudged.judgement.drift.status, unjudged.since) == ("unjudged", {})
    assert found.since["spend"] == AS_OF + 20 * DAY
    open_shop.log(400, AS_OF + 40 * DAY, shift=300.0)
    last = keep(watch(open_shop, as_of=AS_OF + 40 * DAY, days=5))
    assert last.since["spend"] == AS_OF + 20 * DAY
    assert len(rows(open_shop, "SELECT 1 FROM drift_reports")) == 6


def test_performance_is_a_row_a_version_and_week_and_the_latest_stays(open_shop: Shop, watch: Watch, keep: Any) -> None:
    open_shop.log(400, AS_OF - 35 * DAY)
    early = watch(open_shop)
    open_shop.became({f"c{row}": AS_OF - 20 * DAY if row % 4 == 0 else None for row in range(400)}, AS_OF)
    late = watch(open_shop, as_of=AS_OF + DAY)
    for found in (early, late, early):
        keep(found)
    read = "SELECT version, week, predictions, judged, pending, leavers, auc_low <= auc FROM model_performance"
    [(version, week, *counts, ordered)] = rows(open_shop, read)
    assert (version, str(week), counts, bool(ordered)) == (1, "2026-01-19", [400, 400, 0, 100], True)


def test_a_window_of_a_time_to_come_does_not_keep_its_figures_until_then(
    open_shop: Shop, watch: Watch, keep: Any
) -> None:
    now = dt.datetime.now(dt.UTC)
    open_shop.log(300, now - 35 * DAY)
    keep(watch(open_shop, as_of=now + 100 * DAY))
    open_shop.became({f"c{row}": None for row in range(300)}, now)
    keep(watch(open_shop, as_of=now))
    assert {count for (count,) in rows(open_shop, "SELECT judged FROM model_performance")} == {300}


def test_a_week_whose_predictions_are_archived_in_part_keeps_its_figures(
    open_shop: Shop, watch: Watch, keep: Any
) -> None:
    open_shop.log(300, AS_OF - 35 * DAY)
    keep(watch(open_shop))
    with connected(open_shop) as connection:
        some = "SELECT record, row FROM predictions ORDER BY row LIMIT 100"
        connection.execute(sa.text(f"DELETE FROM predictions WHERE (record, row) IN ({some})"))
    keep(watch(open_shop, as_of=AS_OF + DAY))
    assert rows(open_shop, "SELECT predictions FROM model_performance") == [(300,)]


def test_a_failure_half_way_leaves_nothing_and_the_next_attempt_all(open_shop: Shop, watch: Watch, keep: Any) -> None:
    open_shop.log(400, AS_OF - 35 * DAY)
    found = watch(open_shop)
    with connected(open_shop) as connection:
        connection.execute(sa.text("ALTER TABLE model_performance RENAME TO away"))
    with pytest.raises(UserError, match="model_performance"):
        keep(found)
    assert rows(open_shop, "SELECT 1 FROM drift_reports") == []
    with connected(open_shop) as connection:
        connection.execute(sa.text("ALTER TABLE away RENAME TO model_performance"))
    keep(found)
    assert [len(rows(open_shop, f"SELECT 1 FROM {table}")) for table in ("drift_reports", "model_performance")] == [
        1,
        1,
    ]


def test_a_database_that_was_not_migrated_says_so(database_url: str, tmp_path: Path, watch: Watch) -> None:
    shop = Shop.open(tmp_path / "home")
    write_json(tmp_path / "judgement.json", watch(shop))
    with pytest.raises(UserError, match="churn data migrate"):
        record(msgspec.structs.replace(shop.settings, database=database_url), tmp_path / "judgement.json")


def test_the_page_says_what_was_found_and_carries_nothing_that_runs(open_shop: Shop, watch: Watch, keep: Any) -> None:
    open_shop.log(400, AS_OF - 35 * DAY)
    open_shop.log(400, AS_OF, shift=100.0)
    open_shop.became({f"c{row}": AS_OF - 20 * DAY if row % 4 == 0 else None for row in range(400)}, AS_OF)
    page = render(keep(watch(open_shop, days=7)))
    assert "Something has drifted" in page
    assert "since 2026-03-02" in page
    assert "by week of prediction" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize("rows_", [0, 50])
def test_the_page_of_what_was_not_judged_says_why(open_shop: Shop, watch: Watch, keep: Any, rows_: int) -> None:
    if rows_:
        open_shop.log(rows_, AS_OF - dt.timedelta(hours=1))
    page = render(keep(watch(open_shop)))
    assert "<h1>Not judged</h1>" in page
    assert ("50 rows" in page) == bool(rows_)
