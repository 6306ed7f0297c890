"""What is told and what is only counted, without a database."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from churn.notices.grouping import Course, follow
from churn.notices.notice import Notice

START = dt.datetime(2026, 3, 2, 6, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
QUIET = 24 * HOUR


def notice(hours: float = 0, **changes: Any) -> Notice:
    values: dict[str, Any] = {
        "kind": "drift", "model": "shop", "key": "shop/drift", "severity": "warning", "title": "drifted",
        "about": ("spend",), "at": START + hours * HOUR,
    }  # fmt: skip
    return Notice(**(values | changes))


def over(hours: float) -> Notice:
    return notice(hours, kind="recovered", severity="info", about=())


def followed(*notices: Notice) -> tuple[Course | None, list[bool]]:
    course, told = None, []
    for one in notices:
        course, is_told = follow(course, one, QUIET)
        told.append(is_told)
    return course, told


def test_the_first_is_told_and_the_same_again_is_counted() -> None:
    course, told = followed(notice(), notice(1), notice(2))
    assert told == [True, False, False]
    assert course is not None
    assert (course.seen, course.first_seen, course.told_at) == (3, START, START)


def test_after_the_quiet_period_it_is_told_again_with_how_often_and_since_when() -> None:
    course, told = followed(notice(), notice(12), notice(24), notice(25))
    assert told == [True, False, True, False]
    assert course is not None
    message = course.message
    assert (message.seen, message.first_seen) == (4, START)
    assert "Since 2026-03-02 06:00 UTC, seen 4 times." in message.facts


def test_a_rising_severity_is_told_at_once_and_a_falling_one_is_not() -> None:
    _, told = followed(notice(), notice(1, severity="critical"), notice(2), notice(3, severity="critical"))
    assert told == [True, True, False, False]


def test_another_column_is_told_at_once_and_one_that_comes_and_goes_only_once() -> None:
    _, told = followed(
        notice(), notice(1, about=("spend", "age")), notice(2, about=("age",)), notice(3, about=("age", "spend"))
    )
    assert told == [True, True, False, False]


def test_what_is_well_again_is_told_once_and_what_never_began_is_not() -> None:
    course, told = followed(over(0), notice(1), over(2), over(3))
    assert told == [False, True, True, False]
    assert course is not None
    assert course.recovered_at == START + 2 * HOUR


def test_what_comes_back_is_new() -> None:
    course, told = followed(notice(), over(1), notice(2))
    assert told == [True, True, True]
    assert course is not None
    assert (course.seen, course.first_seen, course.recovered_at) == (1, START + 2 * HOUR, None)


def test_the_same_moment_again_is_not_counted_twice() -> None:
    course, told = followed(notice(), notice(), notice())
    assert told == [True, False, False]
    assert course is not None
    assert course.seen == 1


@pytest.mark.parametrize("late", [notice(-2, severity="critical"), over(-2)])
def test_what_is_older_than_what_was_seen_changes_nothing(late: Notice) -> None:
    before, _ = followed(notice())
    assert followed(notice(), late) == (before, [True, False])


def test_an_old_window_does_not_bring_back_what_is_over() -> None:
    _, told = followed(notice(), over(5), notice(3))
    assert told == [True, True, False]


def test_since_when_is_what_the_notice_knows_or_when_it_was_first_seen() -> None:
    course, _ = followed(notice(since=START - 48 * HOUR))
    assert course is not None
    assert course.message.since == START - 48 * HOUR


def test_what_is_over_says_since_when_it_was_known_to_be_so() -> None:
    course, _ = followed(notice(since=START - 48 * HOUR), over(2))
    assert course is not None
    assert course.message.facts == ("Since 2026-02-28 06:00 UTC, until 2026-03-02 08:00 UTC.",)
