"""What is told, and what is only counted: one thing that goes on is told once, until it gets worse or time passes."""

from __future__ import annotations

import datetime as dt

import msgspec

from churn.notices.notice import Message, Notice, Severity, rank


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """A thing that goes on, or went: the newest notice of it, how often it was seen, and what was told of it when.

    `severity`, `about` and `channels` are what was told since it began; `recovered_at` is null while it goes on."""

    notice: Notice
    first_seen: dt.datetime
    last_seen: dt.datetime
    seen: int
    told_at: dt.datetime
    severity: Severity
    about: tuple[str, ...]
    channels: tuple[str, ...] = ()
    recovered_at: dt.datetime | None = None

    @property
    def message(self) -> Message:
        """What a channel is told now."""
        return Message(notice=self.notice, seen=self.seen, first_seen=self.first_seen)


def follow(course: Course | None, notice: Notice, quiet: dt.timedelta) -> tuple[Course | None, bool]:
    """The course after a notice, and whether it is to be told.

    It is when the thing is new, worse than was told, of a part that was not told of, well again, or when it was told
    longer than `quiet` ago. What is older than the newest that was seen changes nothing, and the same again is not
    counted twice: so a step may be repeated."""
    if notice.kind == "recovered":
        return _recovered(course, notice)
    if course is None or (course.recovered_at is not None and notice.at >= course.recovered_at):
        return _begun(notice), True
    if course.recovered_at is not None or notice.at < course.last_seen:
        return course, False
    changes = {"notice": notice, "last_seen": notice.at, "seen": course.seen + (notice.at > course.last_seen)}
    is_due = notice.at - course.told_at >= quiet
    is_worse = rank(notice.severity) > rank(course.severity) or not set(notice.about) <= set(course.about)
    if is_due:
        changes |= {"severity": notice.severity, "about": notice.about}
    elif is_worse:
        changes |= {"severity": max(notice.severity, course.severity, key=rank)}
        changes |= {"about": tuple(dict.fromkeys((*course.about, *notice.about)))}
    if is_due or is_worse:
        changes["told_at"] = notice.at
    return msgspec.structs.replace(course, **changes), is_due or is_worse


def _begun(notice: Notice) -> Course:
    return Course(
        notice=notice, first_seen=notice.at, last_seen=notice.at, seen=1, told_at=notice.at, severity=notice.severity,
        about=notice.about,
    )  # fmt: skip


def _recovered(course: Course | None, notice: Notice) -> tuple[Course | None, bool]:
    if course is None or course.recovered_at is not None or notice.at < course.last_seen:
        return course, False
    ended = msgspec.structs.replace(notice, since=notice.since or course.notice.since)
    return msgspec.structs.replace(course, notice=ended, recovered_at=notice.at, told_at=notice.at), True
