from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
import sqlalchemy as sa

from churn.domain import parsing
from churn.domain.errors import UserError
from churn.domain.synthetic.population import Population
from churn.stores.database import engine, migrate
from churn.stores.prediction_log import schema
from churn.stores.query import stream_query
from churn.stores.settings import Settings
from feature_repo import contracts
from tests.servers import free_port

JANUARY = datetime(2026, 1, 31, tzinfo=UTC)
MONITORING = {"outcomes", "outcome_history", "drift_reports", "model_performance"}
LOOP = {"leases", "retrainings", "notices", "notice_queue", "rollout_decisions"}
TABLES = {"customers", "scores", "prediction_key", *schema.TABLES, *MONITORING, *LOOP, "churn_schema_version"}


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database's address; SQLite's folder is not there yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new/churn.db"
    found: str = request.getfixturevalue("database_url")
    return found


def _tables(url: str) -> set[str]:
    database = engine(url)
    try:
        return set(sa.inspect(database).get_table_names())
    finally:
        database.dispose()


def test_migrating_an_empty_database_makes_the_table_of_customers(url: str) -> None:
    migrate(url)
    customers = sa.Table("customers", sa.MetaData(), autoload_with=engine(url))

    assert {column.name for column in customers.primary_key} == {"customerID", "snapshot_date"}
    assert len(customers.columns) == 22, "a key, a timestamp, 19 columns and what became of the customer"
    assert {column.name for column in customers.columns if not column.nullable} == {"customerID", "snapshot_date"}


def test_migrating_twice_changes_nothing(url: str) -> None:
    migrate(url)
    with engine(url).begin() as connection:
        connection.execute(sa.text("INSERT INTO customers (\"customerID\", snapshot_date) VALUES ('a', '2026-01-31')"))
    migrate(url)

    with engine(url).connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM customers")).scalar() == 1


def test_a_customer_has_one_row_a_snapshot(url: str) -> None:
    migrate(url)
    customers = sa.Table("customers", sa.MetaData(), autoload_with=engine(url))
    row = {"customerID": "7590-VHVEG", "snapshot_date": JANUARY, "TotalCharges": None, "Contract": "Month-to-month"}
    with engine(url).begin() as connection:
        connection.execute(customers.insert(), [row, {**row, "snapshot_date": JANUARY.replace(month=3)}])

    with pytest.raises(sa.exc.IntegrityError), engine(url).begin() as connection:
        connection.execute(customers.insert(), row)


def test_synthetic_customers_go_in_and_come_out_as_they_are_for_the_telco_contract(
    database_url: str, settings: Settings
) -> None:
    made = Population(customers=200, seed=1).labelled()
    migrate(database_url)
    customers = sa.Table("customers", sa.MetaData(), autoload_with=engine(database_url))
    with engine(database_url).begin() as connection:
        connection.execute(customers.insert(), made.to_pylist())

    read = pa.Table.from_batches(stream_query(database_url, "SELECT * FROM customers"))

    parsing.require_columns(contracts.resolve(settings, "telco"), read.schema.names, "customers")
    assert read.sort_by("customerID") == made.sort_by("customerID")


MIGRATE = """
import sys
from churn.stores.database import migrate
from churn.stores.query import stream_query
from churn.stores.settings import Settings
from feature_repo import contracts
url = Settings.load().database
print("ready", flush=True)
sys.stdin.readline()
migrate(url)
print("done")
"""


def test_migrations_at_once_take_turns(
    url: str, settings: Settings, race: Callable[[str, Settings, int], list[str]]
) -> None:
    assert race(MIGRATE, msgspec.structs.replace(settings, database=url), 3) == ["done"] * 3

    assert _tables(url) == TABLES


KILLED = """
import os, signal
import alembic.runtime.migration as migration
from churn.stores.database import migrate
from churn.stores.query import stream_query
from churn.stores.settings import Settings
from feature_repo import contracts
migration.HeadMaintainer.update_to_step = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
migrate(Settings.load().database)
"""


def test_threads_may_migrate_databases_at_once(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path}/{number % 4}.db" for number in range(16)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(migrate, urls))


def test_a_migration_killed_in_the_middle_leaves_no_half_a_schema(
    url: str, settings: Settings, kill: Callable[[str, Settings], None]
) -> None:
    """The process dies when the table is made and the version not yet written down."""
    kill(KILLED, msgspec.structs.replace(settings, database=url))

    assert _tables(url) == set()
    migrate(url)
    assert _tables(url) == TABLES


def test_a_failed_migration_is_rolled_back(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr("alembic.runtime.migration.HeadMaintainer.update_to_step", fail)
        with pytest.raises(ZeroDivisionError):
            migrate(url)

    assert _tables(url) == set()
    migrate(url)


def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    url = f"postgresql://churn:hunter2@127.0.0.1:{free_port()}/churn"

    with pytest.raises(UserError, match=r"Connection refused.*CHURN_DATABASE") as caught:
        migrate(url)

    assert "hunter2" not in str(caught.value)


def test_a_sqlite_file_that_is_none_is_told_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "churn.db").mkdir()

    with pytest.raises(UserError, match=r"churn\.db: .*CHURN_DATABASE"):
        migrate(f"sqlite:///{tmp_path}/churn.db")


def test_a_file_that_is_no_database_is_told_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "churn.db").write_text("customerID,gender\n" * 100)

    with pytest.raises(UserError, match=r"churn\.db: file is not a database .*CHURN_DATABASE"):
        migrate(f"sqlite:///{tmp_path}/churn.db")


def test_a_user_who_may_not_make_tables_is_told(database_url: str, postgres: str) -> None:
    with engine(database_url).begin() as connection:
        connection.execute(sa.text("CREATE ROLE reader LOGIN"))
    name = database_url.partition("@/")[2]

    with pytest.raises(UserError, match="permission denied"):
        migrate(f"postgresql://reader@/{name}")
