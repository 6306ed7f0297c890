"""The relational database: PostgreSQL, or SQLite on one machine. `migrate` brings its schema up to date."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from churn.domain.errors import UserError
from churn.stores.addresses import redacted, sqlite_file

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK_S = 60.0
"""How long one process waits for another that writes to the same SQLite file; the driver's five seconds are few."""
_LOCK = 0x636875726E  # "churn": the number of PostgreSQL's advisory lock that migrations take turns by
_TURN = threading.Lock()  # Alembic keeps what it works on in a module: threads would share it


def engine(url: str) -> Engine:
    """An engine for a `sqlite:///` or `postgresql://` URL; a SQLite file's folder is made."""
    from sqlalchemy import create_engine

    file = sqlite_file(url)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        return create_engine(url, connect_args={"timeout": _LOCK_S})
    return create_engine(url.replace("postgresql://", "postgresql+psycopg2://", 1), pool_pre_ping=True)


@contextmanager
def reached(url: str, setting: str = "CHURN_DATABASE") -> Iterator[Engine]:
    """The engine of a database, closed at the end.

    Raises UserError naming `setting` for what the database answers with, be it then or later: that it is not there,
    does not know the user, does not let them, or is none."""
    from sqlalchemy import inspect
    from sqlalchemy.exc import DatabaseError

    database = engine(url)
    try:
        inspect(database).has_table("customers")
        yield database
    except DatabaseError as error:
        reason = redacted(str(error.orig).strip().split("\n", 1)[0])
        raise UserError(reason, where=redacted(url), remedy=f"check {setting}") from error
    finally:
        database.dispose()


def migrate(url: str) -> None:
    """Brings the schema to the newest revision, all of it or nothing; two processes or threads at once take turns.

    Raises UserError for what the database answers with."""
    with _TURN, reached(url) as database:
        if sqlite_file(url) is None:
            _migrate_postgres(database)
        else:
            _migrate_sqlite(database)


@contextmanager
def transaction(url: str, table: str) -> Iterator[Connection]:
    """A transaction on a database that has `table`: all that is done in it, or nothing.

    A SQLite file is brought up to date first: it has no administrator who would. Raises UserError when the database is
    away, refuses, or has no such table yet."""
    from sqlalchemy import inspect

    if sqlite_file(url) is not None:
        migrate(url)
    with reached(url) as database:
        if not inspect(database).has_table(table):
            raise UserError(f"has no table {table} yet", redacted(url), "run `churn data migrate`")
        with database.begin() as connection:
            yield connection


def as_column(connection: Connection, moment: dt.datetime | None) -> dt.datetime | float | None:
    """A time as a column has it: seconds since 1970 in SQLite, which knows no zones."""
    return moment.timestamp() if moment and connection.dialect.name == "sqlite" else moment


def as_moment(value: dt.datetime | float) -> dt.datetime:
    """A column's time."""
    return value if isinstance(value, dt.datetime) else dt.datetime.fromtimestamp(value, dt.UTC)


def _migrate_postgres(database: Engine) -> None:
    from sqlalchemy import func, select

    with database.begin() as connection:
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        _upgrade(connection)


def _migrate_sqlite(database: Engine) -> None:
    # The driver opens transactions before changes of rows only, never of the schema: so this one is opened by hand.
    with database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            _upgrade(connection)
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT")


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    command.upgrade(config, "head")
