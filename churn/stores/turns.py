"""Turns: of those who want to do the same thing, whichever machine they are on, one does it at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from churn.domain.errors import UserError
from churn.stores import files
from churn.stores.addresses import redacted, sqlite_file

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812

# Waits as long as it takes; and a machine that lost its power is found out in half a minute, not in two hours.
_PATIENT = "-c statement_timeout=0 -c tcp_keepalives_idle=15 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"


@contextmanager
def held(url: str, name: str) -> Iterator[None]:
    """Waits for the turn that is called `name` among those with the same database, and holds it.

    The kernel, or the database, gives it to the next one when its holder dies. Raises UserError when the database does
    not answer."""
    file = sqlite_file(url)
    if file is not None:
        with files.locked(file.with_name(f".{file.name}.{_number(name):x}.lock")):
            yield
        return
    with closing(_waited(url, name)):
        yield


def _waited(url: str, name: str) -> Connection:
    """A connection that has the turn, until it is closed."""
    import psycopg2

    connection = None
    try:
        connection = psycopg2.connect(url, connect_timeout=10, application_name="churn turn", options=_PATIENT)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [_number(name)])
    except psycopg2.Error as error:
        if connection is not None:
            connection.close()
        problem = f"the database does not answer ({type(error).__name__})"
        raise UserError(problem, where=redacted(url), remedy="check CHURN_DATABASE") from None
    return connection


def _number(name: str) -> int:
    """A positive 63-bit number, as PostgreSQL's advisory locks are called by."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") >> 1
