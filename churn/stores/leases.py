"""What only one process may do at a time, whatever machine it is on: whoever holds the lease, until it runs out."""

from __future__ import annotations

import datetime as dt

import msgspec

from churn.stores.database import as_column, as_moment, transaction

_TABLE = "leases"


class Lease(msgspec.Struct, frozen=True):
    """Who holds `name`, and until when; a holder that is still at work renews it before."""

    name: str
    holder: str
    until: dt.datetime


def acquire(url: str, name: str, holder: str, seconds: float, now: dt.datetime | None = None) -> Lease | None:
    """Takes the lease, or renews it where `holder` has it already; None while another has it.

    Of two at once one gets it. Raises UserError when the database is away or has no such table yet."""
    from sqlalchemy import text

    now = now or dt.datetime.now(dt.UTC)
    lease = Lease(name, holder, now + dt.timedelta(seconds=seconds))
    statement = text(
        "INSERT INTO leases (name, holder, until) VALUES (:name, :holder, :until) ON CONFLICT (name) DO UPDATE "
        "SET holder = excluded.holder, until = excluded.until "
        "WHERE leases.holder = excluded.holder OR leases.until <= :now"
    )
    with transaction(url, _TABLE) as connection:
        until, at = as_column(connection, lease.until), as_column(connection, now)
        taken = connection.execute(statement, {"name": name, "holder": holder, "until": until, "now": at})
        return lease if taken.rowcount == 1 else None


def release(url: str, name: str, holder: str) -> bool:
    """Gives the lease back. Whether `holder` still had it. Raises UserError when the database is away."""
    from sqlalchemy import text

    with transaction(url, _TABLE) as connection:
        statement = text("DELETE FROM leases WHERE name = :name AND holder = :holder")
        return connection.execute(statement, {"name": name, "holder": holder}).rowcount == 1


def current(url: str, name: str, now: dt.datetime | None = None) -> Lease | None:
    """Who holds the lease now, if anybody does. Raises UserError when the database is away."""
    from sqlalchemy import text

    with transaction(url, _TABLE) as connection:
        row = connection.execute(text("SELECT holder, until FROM leases WHERE name = :name"), {"name": name}).first()
    lease = Lease(name, row[0], as_moment(row[1])) if row else None
    return lease if lease and lease.until > (now or dt.datetime.now(dt.UTC)) else None
