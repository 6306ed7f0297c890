"""What each retraining run decided and what came of it, in PostgreSQL or SQLite: a row a model and as-of time."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

import msgspec

from churn.domain.errors import UserError
from churn.stores.database import as_column, as_moment, transaction

Outcome = Literal["none", "running", "promoted", "challenger", "refused", "failed"]
"""`none` where nothing was trained, `refused` where the gate said no."""

NO_END = "the run came to no end"
"""What is said of one that failed, or died."""

_TABLE = "retrainings"


class Retraining(msgspec.Struct, frozen=True, kw_only=True):
    """A decision of the run `run` about the champion `version`, for one sentence (`because`).

    `since` is where the training window begins, null where nothing was trained; `reason` says, in another sentence,
    what came of it, and `new_version` is the version that it gave."""

    model: str
    as_of: dt.datetime
    run: str
    version: int
    retrain: bool
    because: str
    since: dt.datetime | None = None
    outcome: Outcome = "none"
    reason: str = ""
    new_version: int | None = None


class Result(msgspec.Struct, frozen=True):
    """What came of a run, for a reason of one sentence; `new_version` is the version that it gave, if any."""

    outcome: Outcome
    reason: str
    new_version: int | None = None


_COLUMNS = Retraining.__struct_fields__


def decide(url: str, decision: Retraining) -> None:
    """Writes a decision down; one of the same model and time takes the place of the former.

    Raises UserError when that one is another run's that has not come to its end, and when the database is away or has
    no such table yet."""
    from sqlalchemy import text

    changes = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS)
    statement = text(
        f"INSERT INTO retrainings ({', '.join(_COLUMNS)}) VALUES ({', '.join(f':{name}' for name in _COLUMNS)}) "  # noqa: S608 - names of this module
        f"ON CONFLICT (model, as_of) DO UPDATE SET {changes} "
        "WHERE retrainings.run = excluded.run OR retrainings.outcome <> 'running'"
    )
    with transaction(url, _TABLE) as connection:
        row = msgspec.structs.asdict(decision)
        times = {name: as_column(connection, row[name]) for name in ("as_of", "since")}
        if not connection.execute(statement, row | times).rowcount:
            problem = "another retraining as of the same time is under way"
            raise UserError(problem, where=f"model {decision.model}", remedy="wait for it to end")


def give_up(url: str, model: str, but: str) -> None:
    """Writes down that a model's runs have failed that came to no result, but for the run `but`.

    For who knows that none of them goes on. Raises UserError when the database is away."""
    from sqlalchemy import text

    statement = text(
        "UPDATE retrainings SET outcome = 'failed', reason = :reason "
        "WHERE model = :model AND run <> :but AND outcome = 'running'"
    )
    with transaction(url, _TABLE) as connection:
        connection.execute(statement, {"model": model, "but": but, "reason": NO_END})


def conclude(url: str, model: str, run: str, result: Result) -> None:
    """Writes down what came of a run. Raises UserError when the database is away, or knows no such run."""
    from sqlalchemy import text

    statement = text(
        "UPDATE retrainings SET outcome = :outcome, reason = :reason, new_version = :new_version "
        "WHERE model = :model AND run = :run"
    )
    values = {"model": model, "run": run, **msgspec.structs.asdict(result)}
    with transaction(url, _TABLE) as connection:
        if not connection.execute(statement, values).rowcount:
            raise UserError("no such retraining is known", where=f"model {model}", remedy="run it anew")


def of_run(url: str, model: str, run: str) -> Retraining | None:
    """What a run has decided; None before it has. Raises UserError when the database is away."""
    found = _read(url, "model = :model AND run = :run", {"model": model, "run": run})
    return found[0] if found else None


def latest(url: str, model: str, before: dt.datetime, count: int = 1) -> list[Retraining]:
    """The newest of a model's runs that gave a model, of earlier as-of times than `before`, the newest first.

    One that failed has learned nothing. Raises UserError when the database is away."""
    condition = "model = :model AND as_of < :before AND outcome IN ('promoted', 'challenger', 'refused')"
    return _read(url, condition, {"model": model, "before": before}, count)


def every(url: str, model: str) -> list[Retraining]:
    """All runs of a model, the newest first. Raises UserError when the database is away."""
    return _read(url, "model = :model", {"model": model})


def _read(url: str, condition: str, values: dict[str, Any], count: int = 1_000) -> list[Retraining]:
    from sqlalchemy import text

    statement = text(
        f"SELECT {', '.join(_COLUMNS)} FROM retrainings WHERE {condition} ORDER BY as_of DESC LIMIT :count"  # noqa: S608 - parts of this module
    )
    with transaction(url, _TABLE) as connection:
        given = {k: as_column(connection, v) if isinstance(v, dt.datetime) else v for k, v in values.items()}
        rows = connection.execute(statement, given | {"count": count}).mappings().all()
    return [_retraining(dict(row)) for row in rows]


def _retraining(row: dict[str, Any]) -> Retraining:
    since = row["since"]
    times = {"as_of": as_moment(row["as_of"]), "since": None if since is None else as_moment(since)}
    return Retraining(**(row | times | {"retrain": bool(row["retrain"])}))
