"""What rollout did and why, in PostgreSQL or SQLite: a row each time it changed who answers whom."""

from __future__ import annotations

import datetime as dt
from typing import Literal

import msgspec

from churn.stores.database import as_column, as_moment, transaction

Act = Literal["start", "stop", "promote", "roll back", "back"]
By = Literal["decide", "watch", "person"]

_TABLE = "rollout_decisions"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One act, with the reason in a sentence; versions and share as they were afterwards, in the traffic document's
    `revision`."""

    model: str
    at: dt.datetime
    action: Act
    by: By
    reason: str
    champion: int
    challenger: int | None
    share: float
    revision: int


_COLUMNS = Decision.__struct_fields__
_QUOTED = ", ".join(f'"{name}"' for name in _COLUMNS)  # BY is a word of SQL's


def record(url: str, decision: Decision) -> None:
    """Writes a decision down. Raises UserError when the database is away or has no such table yet."""
    from sqlalchemy import text

    statement = text(f"INSERT INTO {_TABLE} ({_QUOTED}) VALUES ({', '.join(f':{name}' for name in _COLUMNS)})")  # noqa: S608 - names of this module
    with transaction(url, _TABLE) as connection:
        row = msgspec.structs.asdict(decision)
        connection.execute(statement, row | {"at": as_column(connection, decision.at)})


def latest(url: str, model: str, count: int = 10) -> list[Decision]:
    """A model's decisions, the newest first. Raises UserError when the database is away."""
    from sqlalchemy import text

    statement = text(f"SELECT {_QUOTED} FROM {_TABLE} WHERE model = :model ORDER BY at DESC LIMIT :count")  # noqa: S608 - likewise
    with transaction(url, _TABLE) as connection:
        rows = connection.execute(statement, {"model": model, "count": count}).mappings().all()
    return [Decision(**{**row, "at": as_moment(row["at"])}) for row in rows]
