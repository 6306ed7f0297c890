"""Outcomes on both databases: what comes twice, late, changed, for nobody, and what happens half-way."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow as pa
import pytest
import sqlalchemy as sa

from churn.domain.errors import UserError
from churn.stores.database import engine, migrate
from churn.stores.outcome_databases import KNOWN
from churn.stores.outcomes import GIVEN, Loaded, load, read
from churn.stores.prediction_log.pseudonyms import Pseudonyms
from churn.stores.privacy.customer import Customer
from churn.stores.privacy.database import LoggedPredictions
from churn.stores.privacy.outcomes import LoadedOutcomes
from tests.servers import free_port

NAMES = Pseudonyms(b"k" * 32)
NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
JANUARY, FEBRUARY = (dt.datetime(2026, month, 28, 1, 2, 3, 456789, tzinfo=dt.UTC) for month in (1, 2))


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    found = f"sqlite:///{tmp_path}/churn.db" if request.param == "sqlite" else request.getfixturevalue("database_url")
    migrate(found)
    return str(found)


def table(*rows: tuple[str, dt.datetime | None, dt.datetime], by: bool = False) -> pa.Table:
    named = [(NAMES.pseudonym(name), left, known, by) for name, left, known in rows]
    return pa.Table.from_pylist([dict(zip(GIVEN.names, row, strict=True)) for row in named], schema=GIVEN)


def stored(url: str) -> dict[bytes, tuple[dt.datetime | None, dt.datetime]]:
    return {row["customer"]: (row["left_at"], row["known_until"]) for row in read(url, "shop").to_pylist()}


def stayed(url: str) -> dt.datetime | None:
    """Until when the one customer is known to have stayed."""
    (row,) = read(url, "shop").to_pylist()
    return row["stayed_until"]  # type: ignore[no-any-return]


def history(url: str) -> int:
    database = engine(url)
    with database.connect() as connection:
        found = connection.execute(sa.text("SELECT count(*) FROM outcome_history")).scalar_one()
    database.dispose()
    return int(found)


def counts(loaded: Loaded) -> tuple[int, ...]:
    """New, changed, same, late."""
    return loaded.new, loaded.changed, loaded.same, loaded.late


def test_the_same_outcomes_twice_change_nothing(url: str) -> None:
    rows = table(("ann", None, FEBRUARY), ("bob", JANUARY, FEBRUARY))
    assert counts(load(url, "shop", [rows], NOW)) == (2, 0, 0, 0)
    assert counts(load(url, "shop", [rows], NOW)) == (0, 0, 2, 0)
    assert stored(url) == {NAMES.pseudonym("ann"): (None, FEBRUARY), NAMES.pseudonym("bob"): (JANUARY, FEBRUARY)}
    assert history(url) == 0


def test_a_later_outcome_replaces_and_the_former_is_in_the_history(url: str) -> None:
    load(url, "shop", [table(("ann", None, JANUARY))], NOW)
    assert counts(load(url, "shop", [table(("ann", FEBRUARY, FEBRUARY))], NOW)) == (0, 1, 0, 0)
    assert stored(url) == {NAMES.pseudonym("ann"): (FEBRUARY, FEBRUARY)}
    assert history(url) == 1


def test_an_outcome_corrected_for_the_same_time_replaces_too(url: str) -> None:
    load(url, "shop", [table(("ann", JANUARY, FEBRUARY))], NOW)
    assert counts(load(url, "shop", [table(("ann", None, FEBRUARY))], NOW)) == (0, 1, 0, 0)
    assert stored(url) == {NAMES.pseudonym("ann"): (None, FEBRUARY)}


def test_an_old_file_that_comes_late_changes_nothing(url: str) -> None:
    load(url, "shop", [table(("ann", JANUARY, FEBRUARY))], NOW)
    assert counts(load(url, "shop", [table(("ann", None, JANUARY))], NOW)) == (0, 0, 0, 1)
    assert stored(url) == {NAMES.pseudonym("ann"): (JANUARY, FEBRUARY)}
    assert history(url) == 0


def test_of_a_customer_who_stands_twice_what_is_known_for_longer_counts(url: str) -> None:
    rows = [table(("ann", None, FEBRUARY), ("ann", JANUARY, JANUARY)), table(("ann", JANUARY, FEBRUARY))]
    assert counts(load(url, "shop", rows, NOW)) == (1, 0, 0, 0)
    assert stored(url) == {NAMES.pseudonym("ann"): (JANUARY, FEBRUARY)}


def test_outcomes_of_one_model_are_none_of_another(url: str) -> None:
    load(url, "shop", [table(("ann", None, JANUARY))], NOW)
    assert counts(load(url, "other", [table(("ann", JANUARY, JANUARY))], NOW)) == (1, 0, 0, 0)
    assert stored(url) == {NAMES.pseudonym("ann"): (None, JANUARY)}


def test_an_outcome_without_a_prediction_is_kept_and_counted(url: str) -> None:
    loaded = load(url, "shop", [table(("ann", None, JANUARY))], NOW)
    assert (loaded.new, loaded.unknown) == (1, 1)


def test_no_rows_are_no_harm(url: str) -> None:
    assert load(url, "shop", [GIVEN.empty_table()], NOW) == Loaded(0, 0, 0, 0, 0, 0, 0)
    assert read(url, "shop") == KNOWN.empty_table()


def test_an_erased_customer_is_gone_from_outcomes_and_history_and_does_not_come_back(url: str) -> None:
    load(url, "shop", [table(("ann", None, JANUARY), ("bob", None, JANUARY))], NOW)
    load(url, "shop", [table(("ann", JANUARY, FEBRUARY))], NOW)
    ann = Customer("ann", NAMES)
    places = LoggedPredictions(url, ann), LoadedOutcomes(url, ann)
    assert {name: len(rows) for name, rows in places[1].rows()} == {"outcomes": 1, "outcome_history": 1}
    assert {held.where: held.rows for place in places for held in place.erase()} == {
        "outcomes": 1,
        "outcome_history": 1,
    }
    assert list(places[1].find()) == []
    assert load(url, "shop", [table(("ann", JANUARY, FEBRUARY))], NOW).erased == 1
    assert set(stored(url)) == {NAMES.pseudonym("bob")}


def test_a_source_that_fails_half_way_changes_nothing(url: str) -> None:
    load(url, "shop", [table(("ann", None, JANUARY))], NOW)

    def broken() -> Iterator[pa.Table]:
        yield table(("ann", FEBRUARY, FEBRUARY), ("bob", None, FEBRUARY))
        raise UserError("the file ends in the middle")

    with pytest.raises(UserError, match="in the middle"):
        load(url, "shop", broken(), NOW)
    assert stored(url) == {NAMES.pseudonym("ann"): (None, JANUARY)}
    assert counts(load(url, "shop", [table(("ann", FEBRUARY, FEBRUARY), ("bob", None, FEBRUARY))], NOW)) == (1, 1, 0, 0)


def test_a_server_that_goes_away_half_way_changes_nothing(database_url: str) -> None:
    migrate(database_url)

    def cut_off() -> Iterator[pa.Table]:
        yield table(("ann", None, JANUARY))
        _terminate_others(database_url)
        yield table(("bob", None, JANUARY))

    with pytest.raises(UserError, match="CHURN_DATABASE"):
        load(database_url, "shop", cut_off(), NOW)
    assert stored(database_url) == {}
    assert load(database_url, "shop", [table(("ann", None, JANUARY))], NOW).new == 1


def _terminate_others(url: str) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    connection.close()


@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
def test_a_database_that_is_not_there_is_said(kind: str, tmp_path: Path) -> None:
    url = (
        f"postgresql://churn:secret@127.0.0.1:{free_port()}/churn" if kind == "postgres" else "sqlite:////proc/none.db"
    )
    with pytest.raises(UserError) as refusal:
        load(url, "shop", [], NOW)
    assert "secret" not in str(refusal.value)


def test_a_database_that_was_not_migrated_says_so(database_url: str) -> None:
    with pytest.raises(UserError, match="churn data migrate"):
        load(database_url, "shop", [table(("ann", None, JANUARY))], NOW)


def test_the_tables_can_be_taken_back_and_made_again(url: str) -> None:
    from alembic import command
    from alembic.config import Config

    database = engine(url)
    with database.begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", "churn/stores/migrations")
        command.downgrade(config, "0003")
        known: Any = sa.inspect(connection).get_table_names()
        assert not {"outcomes", "outcome_history", "drift_reports", "model_performance"} & set(known)
        command.upgrade(config, "head")
    database.dispose()
    assert load(url, "shop", [table(("ann", None, JANUARY))], NOW).new == 1


def test_until_when_a_customer_stayed_is_known_of_stayers_and_of_leavers_with_a_date(url: str) -> None:
    for outcome, known in (((None, JANUARY), JANUARY), ((JANUARY, FEBRUARY), JANUARY)):
        load(url, "shop", [table(("ann", *outcome))], NOW)
        assert stayed(url) == known


def test_who_has_left_by_a_time_may_have_left_at_once_or_just_before(url: str) -> None:
    load(url, "shop", [table(("ann", FEBRUARY, FEBRUARY), by=True)], NOW)
    assert (stored(url), stayed(url)) == ({NAMES.pseudonym("ann"): (FEBRUARY, FEBRUARY)}, None)


@pytest.mark.parametrize("together", [False, True])
def test_who_has_left_by_a_time_had_stayed_until_they_were_last_known_to(url: str, together: bool) -> None:
    rows = [table(("ann", None, JANUARY)), table(("ann", FEBRUARY, FEBRUARY), by=True)]
    for files in [rows] if together else [[one] for one in rows]:
        load(url, "shop", files, NOW)
    assert (stored(url), stayed(url)) == ({NAMES.pseudonym("ann"): (FEBRUARY, FEBRUARY)}, JANUARY)
    assert counts(load(url, "shop", [rows[1]], NOW)) == (0, 0, 1, 0)


def test_a_date_is_not_replaced_by_a_time_by_which_it_was(url: str) -> None:
    load(url, "shop", [table(("ann", JANUARY, JANUARY))], NOW)
    load(url, "shop", [table(("ann", FEBRUARY, FEBRUARY), by=True)], NOW)
    assert (stored(url), stayed(url)) == ({NAMES.pseudonym("ann"): (JANUARY, FEBRUARY)}, JANUARY)


def test_a_date_replaces_a_time_by_which_it_was(url: str) -> None:
    load(url, "shop", [table(("ann", FEBRUARY, FEBRUARY), by=True)], NOW)
    load(url, "shop", [table(("ann", JANUARY, FEBRUARY))], NOW)
    assert (stored(url), stayed(url)) == ({NAMES.pseudonym("ann"): (JANUARY, FEBRUARY)}, JANUARY)
