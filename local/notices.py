"""Who is told what has happened, for people: trying the channels, and what was told so far."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import msgspec
from rich.table import Table

from churn.domain.errors import UserError
from churn.domain.formula import nearest
from churn.notices import ledger
from churn.notices.carrying import probe
from churn.notices.channels import NOTICES, Channel, check, load
from churn.notices.ledger import Waiting
from churn.notices.notice import Message, Notice, key, one_line
from churn.stores.settings import Settings

_WIDTH = 50


class Tried(msgspec.Struct, frozen=True):
    """A channel that was sent a message to try it, and what was wrong; nothing when it took it."""

    channel: str
    kind: str
    problem: str


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A thing that was told about. `waiting` are the channels that have not taken it yet, and why."""

    key: str
    severity: str
    title: str
    since: dt.datetime
    seen: int
    last_seen: dt.datetime
    told_at: dt.datetime
    channels: tuple[str, ...]
    recovered_at: dt.datetime | None
    waiting: dict[str, str]


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """The variable that gives steps, each in a folder of its own, the same channels.

    Raises UserError for a fault of their file."""
    return {NOTICES: str(load(env).path)} if env.get(NOTICES) else {}


def try_out(env: Mapping[str, str], name: str = "") -> list[Tried]:
    """Sends each channel, or the one of that name, a message that says it is a test, past all grouping.

    On PagerDuty the incident is closed again. Raises UserError when there is no such channel."""
    channels = check(env)
    if not channels.all:
        raise UserError("there are no channels", NOTICES, "name the file that says who is told")
    chosen = [one for one in channels.all if not name or one.name == name]
    if not chosen:
        raise UserError(f"there is no channel '{name}'", "--channel", nearest(name, [one.name for one in channels.all]))
    return [Tried(one.name, kind(one), probe(channels, one, _messages(one), env)) for one in chosen]


def told() -> list[Told]:
    """What was told, what goes on first."""
    database = Settings.load().prepare().database
    waiting = ledger.waiting(database)
    return [
        Told(
            key=one.notice.key,
            severity=one.severity,
            title=one.notice.title,
            since=one.message.since,
            seen=one.seen,
            last_seen=one.last_seen,
            told_at=one.told_at,
            channels=one.channels,
            recovered_at=one.recovered_at,
            waiting=_waiting(waiting, one.notice.key),
        )
        for one in ledger.courses(database)
    ]


def table(rows: list[Told]) -> Table:
    """What was told, as a table."""
    shown = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("what", "severity", "since", "seen", "whom", "state"):
        shown.add_column(name, justify="right" if name == "seen" else "left")
    for row in rows:
        delivered = [name for name in row.channels if name not in row.waiting]
        state = f"over since {row.recovered_at:%Y-%m-%d}" if row.recovered_at else "goes on"
        late = "".join(f"; {name} waits" for name in row.waiting)
        shown.add_row(one_line(row.title, _WIDTH), row.severity, f"{row.since:%Y-%m-%d}", str(row.seen),
                      ", ".join(delivered) or "nobody", f"{state}{late}")  # fmt: skip
    return shown


def kind(channel: Channel) -> str:
    """slack, pagerduty or mail."""
    return str(channel.__struct_config__.tag)


def _waiting(waiting: list[Waiting], wanted: str) -> dict[str, str]:
    return {one.channel: one.problem for one in waiting if one.message.notice.key == wanted}


def _messages(channel: Channel) -> list[Message]:
    now = dt.datetime.now(dt.UTC)
    begun = Notice(
        kind="failure", model="churn", key=key("churn", "failure", "test"), severity="info", at=now,
        title="churn: a test of this channel", lines=("Nothing is wrong: somebody ran `churn notices test`.",),
        next="nothing",
    )  # fmt: skip
    over = msgspec.structs.replace(begun, kind="recovered", title="churn: the test is over")
    notices = [begun, over] if kind(channel) == "pagerduty" else [begun]
    return [Message(notice=one, seen=1, first_seen=now) for one in notices]
