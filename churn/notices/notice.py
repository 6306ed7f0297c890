"""What people are told: a notice, and a message that says how often it was seen before."""

from __future__ import annotations

import datetime as dt
import re
from typing import Literal, get_args

import msgspec

Kind = Literal["drift", "performance", "unjudged", "retraining", "rollout", "failure", "recovered"]
Severity = Literal["info", "warning", "critical"]

SEVERITIES: tuple[Severity, ...] = get_args(Severity)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that has happened, at `at` (with a zone).

    `key` is what is grouped: notices with the same key are of one thing that goes on; a `recovered` one ends it.
    `about` names the parts of that thing: one that was not told of before is told at once. `since` is when it began,
    as far as that is known, `next` what happens now without anybody's doing. Nothing of it may name a customer."""

    kind: Kind
    model: str
    key: str
    severity: Severity
    title: str
    lines: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    since: dt.datetime | None = None
    next: str = ""
    at: dt.datetime


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A notice as a channel gets it: `seen` times by now, first at `first_seen`."""

    notice: Notice
    seen: int
    first_seen: dt.datetime

    @property
    def since(self) -> dt.datetime:
        """Since when it is so, as far as anybody knows."""
        return min(self.notice.since or self.first_seen, self.first_seen)

    @property
    def facts(self) -> tuple[str, ...]:
        """What is to be said below the title, a line each."""
        notice = self.notice
        often = f", seen {self.seen} times" if self.seen > 1 else ""
        until = f", until {day(notice.at)}" if notice.kind == "recovered" else ""
        lines = (*notice.lines, f"Since {day(self.since)}{until}{often}.")
        return (*lines, f"Next: {notice.next}") if notice.next else lines


def key(model: str, kind: Kind, subject: str = "") -> str:
    """What notices of one thing have in common."""
    return "/".join(filter(None, (model, kind, subject)))


def rank(severity: Severity) -> int:
    """The higher, the worse."""
    return SEVERITIES.index(severity)


def day(moment: dt.datetime) -> str:
    """A time as people read it, in UTC."""
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def one_line(text: str, most: int) -> str:
    """`text` without line breaks and control characters, cut to `most` characters."""
    plain = _CONTROL.sub(" ", text).strip()
    return plain if len(plain) <= most else f"{plain[: most - 1]}\N{HORIZONTAL ELLIPSIS}"
