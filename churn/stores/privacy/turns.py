"""Erasing, exporting and archiving take turns: one at a time for a database, whichever machine it is asked from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from churn.domain.errors import UserError
from churn.stores import files
from churn.stores.addresses import redacted, sqlite_file
from churn.stores.privacy.stored import scratch_folder
from churn.stores.settings import Settings

_LOCK = 0x70726976  # "priv": the number of PostgreSQL's advisory lock


@contextmanager
def turn(settings: Settings) -> Iterator[None]:
    """Waits for its turn and holds it; what a killed one left half done in the home is removed first.

    The kernel, or the database, gives the turn to the next one when its holder dies."""
    with _turn(settings.database), files.locked(settings.home / "locks" / "privacy"):
        files.remove(scratch_folder(settings))
        yield


@contextmanager
def _turn(url: str) -> Iterator[None]:
    file = sqlite_file(url)
    if file is not None:
        with files.locked(file.with_name(f".{file.name}.privacy.lock")):
            yield
        return
    import psycopg2

    try:
        connection = psycopg2.connect(url, connect_timeout=10, application_name="churn privacy")
    except psycopg2.Error as error:
        raise UserError(
            f"the database does not answer ({type(error).__name__})", where=redacted(url), remedy="check CHURN_DATABASE"
        ) from None
    with closing(connection):
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        yield
