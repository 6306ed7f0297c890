"""What monitoring found, in PostgreSQL or SQLite: a row a judgement, and a row a version and week of predictions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from churn.domain.performance import Period
from churn.stores.database import as_column, as_moment, transaction

if TYPE_CHECKING:
    from sqlalchemy import Connection

_LOOKED_BACK = 400
_MEASURES = ("auc", "brier", "calibration", "profit")
_REPORT = (
    "model", "as_of", "since", "version", "contract", "status", "reason", "rows", "judged", "age_days",
    "positive_rate", "positive_rate_before", "drifted", "findings",
)  # fmt: skip
_ENDS = ("", "_low", "_high")
_PERFORMANCE = (
    "model", "version", "week", "as_of", "predictions", "judged", "pending", "leavers",
    *(f"{name}{end}" for name in _MEASURES for end in _ENDS), "ece",
)  # fmt: skip


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A judgement of the window from `since` to `as_of`; `findings` is JSON, `drifted` names what has drifted."""

    model: str
    as_of: dt.datetime
    since: dt.datetime
    version: int
    contract: str
    status: str
    reason: str
    rows: int
    judged: int
    age_days: float | None
    positive_rate: float | None
    positive_rate_before: float
    drifted: tuple[str, ...]
    findings: str


def record(url: str, report: Report, weeks: Iterable[Period]) -> dict[str, dt.datetime]:
    """Writes a judgement and the performance by week, both or neither; gives since when each has drifted what has.

    The same window again takes the place of its former judgement; of a week the figures of the latest window stay, as
    long as the log holds all of its predictions, but not those of a window that ends in the future.
    Raises UserError when the database is away, refuses, or has no such tables yet; nothing has changed then."""
    with transaction(url, "drift_reports") as connection:
        known = {**msgspec.structs.asdict(report), "drifted": msgspec.json.encode(report.drifted).decode()}
        _put(connection, "drift_reports", _REPORT, ("model", "as_of"), [known])
        rows = [_week(report, one) for one in weeks if one.week is not None]
        _put(connection, "model_performance", _PERFORMANCE, _PERFORMANCE[:3], rows)
        return _since(connection, report)


def reports(url: str, model: str, after: dt.datetime, before: dt.datetime) -> list[Report]:
    """A model's reports whose windows end after `after` and before `before`, the oldest first.

    Raises UserError when the database is away or has no such table yet."""
    from sqlalchemy import text

    statement = text(
        f"SELECT {', '.join(_REPORT)} FROM drift_reports "  # noqa: S608 - names of this module
        "WHERE model = :model AND as_of > :after AND as_of < :before ORDER BY as_of"
    )
    with transaction(url, "drift_reports") as connection:
        times = {name: as_column(connection, at) for name, at in (("after", after), ("before", before))}
        rows = connection.execute(statement, {"model": model, **times}).mappings().all()
    return [_report(dict(row)) for row in rows]


def first_judged(url: str, model: str) -> dt.datetime | None:
    """When a window of the model was first judged. Raises UserError when the database is away."""
    from sqlalchemy import text

    statement = text("SELECT min(as_of) FROM drift_reports WHERE model = :model AND status <> 'unjudged'")
    with transaction(url, "drift_reports") as connection:
        found = connection.execute(statement, {"model": model}).scalar()
    return None if found is None else as_moment(found)


def _report(row: dict[str, Any]) -> Report:
    drifted, findings = row["drifted"], row["findings"]
    return Report(
        **row
        | {name: as_moment(row[name]) for name in ("as_of", "since")}
        | {
            "drifted": tuple(msgspec.json.decode(drifted) if isinstance(drifted, str) else drifted),
            "findings": findings if isinstance(findings, str) else msgspec.json.encode(findings).decode(),
        }
    )


def _put(
    connection: Connection, table: str, columns: Sequence[str], key: Sequence[str], rows: list[dict[str, Any]]
) -> None:
    from sqlalchemy import text

    documents = set() if connection.dialect.name == "sqlite" else {"drifted", "findings"}
    values = ", ".join(f"CAST(:{name} AS jsonb)" if name in documents else f":{name}" for name in columns)
    changes = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in key)
    # A week that has lost predictions to the archive by now keeps the figures of when it had all of them.
    whole = f" AND excluded.predictions >= {table}.predictions" if "predictions" in columns else ""
    statement = text(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values}) "  # noqa: S608 - names of this module
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes} "
        f"WHERE (excluded.as_of >= {table}.as_of OR {table}.as_of > :now){whole}"
    )
    now = dt.datetime.now(dt.UTC)
    if rows:
        given = [{k: _value(connection, v) for k, v in {**row, "now": now}.items()} for row in rows]
        connection.execute(statement, given)


def _week(report: Report, one: Period) -> dict[str, Any]:
    found = {
        "model": report.model, "version": one.version, "week": one.week, "as_of": report.as_of,
        "predictions": one.predictions, "judged": one.judged, "pending": one.pending, "leavers": one.leavers,
        "ece": one.ece,
    }  # fmt: skip
    for name in _MEASURES:
        interval = getattr(one, name)
        for end, value in zip(_ENDS, ("value", "low", "high"), strict=True):
            found[f"{name}{end}"] = getattr(interval, value) if interval else None
    return found


def _since(connection: Connection, report: Report) -> dict[str, dt.datetime]:
    """Back through earlier judgements, as far as each has drifted without a break; unjudged ones break nothing."""
    from sqlalchemy import text

    earlier = connection.execute(
        text("SELECT as_of, drifted FROM drift_reports WHERE model = :model AND as_of < :as_of "
             "AND status <> 'unjudged' ORDER BY as_of DESC LIMIT :count"),
        {"model": report.model, "as_of": as_column(connection, report.as_of), "count": _LOOKED_BACK},
    )  # fmt: skip
    found = dict.fromkeys(report.drifted, report.as_of)
    unbroken = set(report.drifted)
    for at, drifted in earlier:
        names = msgspec.json.decode(drifted) if isinstance(drifted, str) else drifted
        unbroken &= set(names)
        found |= dict.fromkeys(unbroken, as_moment(at))
    return found


def _value(connection: Connection, value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return as_column(connection, value)
    return value.isoformat() if connection.dialect.name == "sqlite" and isinstance(value, dt.date) else value
