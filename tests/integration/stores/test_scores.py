"""The table of scores, on both databases."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from churn.domain.errors import UserError
from churn.stores.database import engine, migrate
from churn.stores.scores import GIVEN, Run, Upserted, upsert
from tests.servers import free_port

JANUARY, FEBRUARY = dt.date(2026, 1, 31), dt.date(2026, 2, 28)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new/churn.db"
    found: str = request.getfixturevalue("database_url")
    migrate(found)
    return found


def run(as_of: dt.date, version: int, source: str = "customers.csv", model: str = "shop") -> Run:
    return Run(model, as_of, version, source)


def scores(**customers: float | tuple[float, dt.datetime]) -> pa.Table:
    """Scores by customer: a probability, or one with its event timestamp."""
    return table([(name, *(given if isinstance(given, tuple) else (given, None))) for name, given in customers.items()])


def table(rows: list[tuple[str, float, dt.datetime | None]]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "customer": customer, "event_timestamp": stamp, "probability": p, "decision": p >= 0.4,
                "risk": "high" if p >= 0.6 else "low", "recommendation": 'Call, "soon"', "reasons": None,
            }
            for customer, p, stamp in rows
        ],
        schema=GIVEN,
    )  # fmt: skip


def stored(url: str) -> dict[str, tuple[float, str, int]]:
    """Probability, date and version by customer."""
    database = engine(url)
    with database.connect() as connection:
        found: list[Any] = list(connection.execute(sa.text("SELECT customer, probability, as_of, version FROM scores")))
    database.dispose()
    return {customer: (p, str(day), version) for customer, p, day, version in found}


def test_scores_are_written_and_written_again_without_a_second_row(url: str) -> None:
    for _ in range(2):
        assert upsert(url, run(JANUARY, 3), [scores(ann=0.5), scores(bob=0.25)]) == Upserted(2, 2, 0, 0)
    assert stored(url) == {"ann": (0.5, "2026-01-31", 3), "bob": (0.25, "2026-01-31", 3)}


def test_a_later_run_takes_over_and_an_earlier_one_changes_nothing_of_it(url: str) -> None:
    upsert(url, run(FEBRUARY, 4), [scores(ann=0.5)])
    assert upsert(url, run(JANUARY, 3), [scores(ann=0.1, bob=0.2)]) == Upserted(2, 1, 1, 0)
    assert stored(url) == {"ann": (0.5, "2026-02-28", 4), "bob": (0.2, "2026-01-31", 3)}


def test_of_a_customer_who_stands_twice_the_later_event_timestamp_wins(url: str) -> None:
    old, new = dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
    first = table([("ann", 0.75, new), ("ann", 0.25, old), ("bob", 0.25, None), ("cat", 0.5, old)])
    assert upsert(url, run(JANUARY, 1), [first, table([("bob", 0.5, None), ("cat", 0.25, old)])]).customers == 3
    assert {name: p for name, (p, *_) in stored(url).items()} == {"ann": 0.75, "bob": 0.5, "cat": 0.25}


def test_a_run_repeated_with_fewer_customers_leaves_none_of_the_others(url: str) -> None:
    upsert(url, run(JANUARY, 1), [scores(ann=0.5, bob=0.5)])
    upsert(url, run(JANUARY, 1, model="other"), [scores(dan=0.5)])
    assert upsert(url, run(JANUARY, 2), [scores(ann=0.25)]) == Upserted(1, 1, 0, 1)
    assert stored(url) == {"ann": (0.25, "2026-01-31", 2), "dan": (0.5, "2026-01-31", 1)}


def test_what_another_table_gave_of_the_same_date_stays(url: str) -> None:
    upsert(url, run(JANUARY, 1), [scores(ann=0.5, bob=0.5, cat=0.5)])
    assert upsert(url, run(JANUARY, 1, "vip.csv"), [scores(cat=0.25, dan=0.25)]) == Upserted(2, 2, 0, 0)
    assert {name: p for name, (p, *_) in stored(url).items()} == {"ann": 0.5, "bob": 0.5, "cat": 0.25, "dan": 0.25}
    assert upsert(url, run(JANUARY, 1), [scores(ann=0.75)]) == Upserted(1, 1, 0, 1)
    assert sorted(stored(url)) == ["ann", "cat", "dan"], "cat's score is of the other table by now"


def test_scores_of_before_tables_were_named_stay_until_newer_ones_come(url: str) -> None:
    upsert(url, run(JANUARY, 1), [scores(ann=0.5, bob=0.5)])
    with engine(url).begin() as connection:
        connection.execute(sa.text("UPDATE scores SET source = NULL"))
    assert upsert(url, run(JANUARY, 1), [scores(ann=0.25)]) == Upserted(1, 1, 0, 0)
    assert {name: p for name, (p, *_) in stored(url).items()} == {"ann": 0.25, "bob": 0.5}


def test_an_error_half_way_leaves_everything_as_it_was(url: str) -> None:
    upsert(url, run(JANUARY, 1), [scores(ann=0.5)])

    def broken():
        yield scores(ann=0.75, bob=0.5)
        raise RuntimeError("the step is at its end")

    with pytest.raises(RuntimeError):
        upsert(url, run(FEBRUARY, 2), broken())
    assert stored(url) == {"ann": (0.5, "2026-01-31", 1)}


def test_a_database_that_is_away_or_not_migrated_is_said_without_its_password(database_url: str) -> None:
    with pytest.raises(UserError, match="migrate"):
        upsert(database_url, run(JANUARY, 1), [scores(ann=0.5)])
    away = f"postgresql://churn:secret@127.0.0.1:{free_port()}/churn"
    with pytest.raises(UserError, match="CHURN_DATABASE") as caught:
        upsert(away, run(JANUARY, 1), [scores(ann=0.5)])
    assert "secret" not in str(caught.value)
