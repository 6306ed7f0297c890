"""Of which key the log's names are: the database keeps the fingerprint of the first, and another is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from churn.domain.errors import UserError
from churn.stores.addresses import sqlite_file
from churn.stores.prediction_log import sqlite
from churn.stores.prediction_log.pseudonyms import Pseudonyms
from churn.stores.prediction_log.sinks import Away

KNOWN = "SELECT fingerprint FROM prediction_key"

_ADD = "INSERT INTO prediction_key (fingerprint) VALUES ({}) ON CONFLICT DO NOTHING"
_SETTINGS = "-c statement_timeout=5000 -c lock_timeout=5000"
_CONNECT_S = 5


def keep(url: str, names: Pseudonyms, key: Path) -> None:
    """Makes the key in a file the log's, unless it has one. Raises UserError when it has another, Away."""
    remember = _in_postgres if sqlite_file(url) is None else _in_sqlite
    refuse_other(remember(url, names.fingerprint), names, key)


def refuse_other(known: bytes | None, names: Pseudonyms, key: Path) -> None:
    """Raises UserError when the log's names are known to be made with another key than the one in the file."""
    if known is not None and known != names.fingerprint:
        remedy = "point CHURN_LOG_KEY at the key that the log's first predictor has"
        raise UserError("is not the key that customers are named by in this database's log", str(key), remedy)


def _in_sqlite(url: str, fingerprint: bytes) -> bytes:
    try:
        sqlite.ensure_schema(url)
        with closing(sqlite.connect(url)) as connection:
            found = connection.execute(KNOWN).fetchone()
            if found is None:
                connection.execute(_ADD.format("?"), [fingerprint])
                found = connection.execute(KNOWN).fetchone()
            return bytes(found[0])
    except (sqlite3.Error, OSError) as error:
        raise Away(getattr(error, "sqlite_errorname", type(error).__name__)) from None


def _in_postgres(url: str, fingerprint: bytes) -> bytes:
    import psycopg2

    try:
        made = psycopg2.connect(
            url, connect_timeout=_CONNECT_S, options=_SETTINGS, application_name="churn prediction log"
        )
        with closing(made) as connection, connection, connection.cursor() as cursor:
            cursor.execute(KNOWN)
            found = cursor.fetchone()
            if found is None:
                cursor.execute(_ADD.format("%s"), [fingerprint])
                cursor.execute(KNOWN)
                found = cursor.fetchone()
            return bytes(found[0]) if found else fingerprint
    except psycopg2.Error as error:
        raise Away(type(error).__name__) from None
