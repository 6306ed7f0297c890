"""What was told and what still waits to be, in PostgreSQL or SQLite. Two senders at once take turns."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from churn.notices.channels import Channel, Channels
from churn.notices.grouping import Course, follow
from churn.notices.notice import Message, Notice, rank
from churn.stores.database import as_column, as_moment, transaction

if TYPE_CHECKING:
    from sqlalchemy import Connection

TAKEN = dt.timedelta(minutes=3)
"""How long a message is its sender's alone; one that died with it is sent by the next after that."""

_TABLE = "notices"
_COLUMNS = ("key", "model", "notice", "first_seen", "last_seen", "seen", "told_at", "severity", "about", "channels",
            "recovered_at")  # fmt: skip
_QUEUE = ("key", "channel", "message", "id", "since", "attempts", "problem", "taken_until")


class Waiting(msgspec.Struct, frozen=True):
    """A message on its way to a channel, since when and for how many sendings in vain."""

    id: str
    channel: str
    message: Message
    since: dt.datetime
    attempts: int
    problem: str


class Noted(msgspec.Struct, frozen=True):
    """The notices that are told now, and the messages that are this sender's to deliver, old ones among them."""

    news: tuple[Notice, ...]
    waiting: tuple[Waiting, ...]


def note(url: str, notices: Iterable[Notice], channels: Channels, now: dt.datetime) -> Noted:
    """Writes the notices down, and takes what is to be delivered, all or nothing.

    Raises UserError when the database is away or has no such tables yet."""
    with transaction(url, _TABLE) as connection:
        _take_turns(connection)
        news = tuple(one for one in notices if _follow(connection, one, channels, now))
        return Noted(news, _take(connection, [one.name for one in channels.all], now))


def settle(url: str, delivered: Sequence[str], failed: dict[str, str], held: Sequence[str] = ()) -> None:
    """Forgets the messages (by id) that were delivered, and gives back those that were not, with what was wrong.

    Those of `held` stay taken: somebody may still deliver them. Raises UserError when the database is away."""
    from sqlalchemy import text

    with transaction(url, _TABLE) as connection:
        for one in delivered:
            connection.execute(text("DELETE FROM notice_queue WHERE id = :id"), {"id": one})
        for one, problem in failed.items():
            free = "" if one in held else ", taken_until = NULL"
            statement = f"UPDATE notice_queue SET attempts = attempts + 1, problem = :problem{free} WHERE id = :id"  # noqa: S608
            connection.execute(text(statement), {"id": one, "problem": problem})


def courses(url: str) -> list[Course]:
    """Everything that was told, what goes on first, then the newest."""
    from sqlalchemy import text

    with transaction(url, _TABLE) as connection:
        rows = connection.execute(text(f"SELECT {', '.join(_COLUMNS)} FROM notices")).mappings()  # noqa: S608
        found = [_course(row) for row in rows]
    return sorted(found, key=lambda one: (one.recovered_at is not None, -one.last_seen.timestamp()))


def waiting(url: str) -> list[Waiting]:
    """What could not be delivered yet, the oldest first."""
    from sqlalchemy import text

    with transaction(url, _TABLE) as connection:
        rows = connection.execute(text(f"SELECT {', '.join(_QUEUE)} FROM notice_queue ORDER BY since")).mappings()  # noqa: S608
        return [_waiting(row) for row in rows]


def _take_turns(connection: Connection) -> None:
    """On SQLite the first write is the lock, so it comes before the first look."""
    from sqlalchemy import text

    if connection.dialect.name == "sqlite":
        connection.execute(text("UPDATE notices SET seen = seen WHERE key = ''"))
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('churn notices'))"))


def _follow(connection: Connection, notice: Notice, channels: Channels, now: dt.datetime) -> bool:
    from sqlalchemy import text

    select = text(f"SELECT {', '.join(_COLUMNS)} FROM notices WHERE key = :key")  # noqa: S608
    row = connection.execute(select, {"key": notice.key}).mappings().first()
    course, is_told = follow(_course(row) if row else None, notice, channels.quiet)
    if course is None:
        return False
    if is_told:
        meant = _meant(channels.all, notice, course.channels)
        for channel in meant:
            _enqueue(connection, channel.name, course.message, now)
        told = dict.fromkeys((*course.channels, *(one.name for one in meant)))
        course = msgspec.structs.replace(course, channels=tuple(told))
    _put(connection, course)
    return is_told


def _meant(channels: Iterable[Channel], notice: Notice, told: Sequence[str]) -> list[Channel]:
    """Whom a notice is for; that it is over is for those who heard that it began."""
    if notice.kind == "recovered":
        return [one for one in channels if one.name in told]
    return [one for one in channels if rank(notice.severity) >= rank(one.least)]


def _put(connection: Connection, course: Course) -> None:
    from sqlalchemy import text

    changes = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name != "key")
    statement = text(
        f"INSERT INTO notices ({', '.join(_COLUMNS)}) VALUES ({', '.join(f':{name}' for name in _COLUMNS)}) "  # noqa: S608
        f"ON CONFLICT (key) DO UPDATE SET {changes}"
    )
    row = msgspec.structs.asdict(course) | {"key": course.notice.key, "model": course.notice.model}
    row |= {name: msgspec.json.encode(row[name]).decode() for name in ("notice", "about", "channels")}
    for name in ("first_seen", "last_seen", "told_at", "recovered_at"):
        row[name] = as_column(connection, row[name])
    connection.execute(statement, row)


def _enqueue(connection: Connection, channel: str, message: Message, now: dt.datetime) -> None:
    """Takes the place of one of the same thing that still waits: the newer says how often and since when."""
    from sqlalchemy import text

    changes = ", ".join(f"{name} = excluded.{name}" for name in ("message", "id", "taken_until"))
    statement = text(
        f"INSERT INTO notice_queue ({', '.join(_QUEUE)}) VALUES ({', '.join(f':{name}' for name in _QUEUE)}) "  # noqa: S608
        f"ON CONFLICT (key, channel) DO UPDATE SET {changes}"
    )
    row = {
        "key": message.notice.key, "channel": channel, "message": msgspec.json.encode(message).decode(),
        "id": uuid.uuid4().hex, "since": as_column(connection, now), "attempts": 0, "problem": "", "taken_until": None,
    }  # fmt: skip
    connection.execute(statement, row)


def _take(connection: Connection, channels: Sequence[str], now: dt.datetime) -> tuple[Waiting, ...]:
    from sqlalchemy import bindparam, text

    if not channels:
        return ()
    statement = text(
        f"UPDATE notice_queue SET taken_until = :until WHERE channel IN :channels "  # noqa: S608
        f"AND (taken_until IS NULL OR taken_until <= :now) RETURNING {', '.join(_QUEUE)}"
    ).bindparams(bindparam("channels", expanding=True))
    until, at = as_column(connection, now + TAKEN), as_column(connection, now)
    rows = connection.execute(statement, {"until": until, "now": at, "channels": list(channels)}).mappings()
    return tuple(sorted((_waiting(row) for row in rows), key=lambda one: one.since))


def _course(row: Any) -> Course:
    known = {name: row[name] for name in _COLUMNS if name not in {"key", "model"}}
    known["notice"] = msgspec.json.decode(known["notice"], type=Notice)
    known |= {name: tuple(msgspec.json.decode(known[name])) for name in ("about", "channels")}
    for name in ("first_seen", "last_seen", "told_at", "recovered_at"):
        known[name] = as_moment(known[name]) if known[name] is not None else None
    return Course(**known)


def _waiting(row: Any) -> Waiting:
    message = msgspec.json.decode(row["message"], type=Message)
    return Waiting(row["id"], row["channel"], message, as_moment(row["since"]), row["attempts"], row["problem"])
