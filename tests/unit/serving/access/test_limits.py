from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn.domain.errors import UserError
from serving.access.limits import Rate


@pytest.mark.parametrize(
    ("text", "rate"), [("100/s", Rate(100, 1)), ("6000/m", Rate(6000, 60)), ("1/h", Rate(1, 3600))]
)
def test_a_rate_is_rows_by_time(text: str, rate: Rate) -> None:
    assert Rate.parse(text, "") == rate


@pytest.mark.parametrize(
    "text", ["", "0/s", "100", "100/d", "-1/s", "1.5/s", "\u0661/s", "100/s\n", "1/ s", "9999999999/s"]
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="CHURN_RATE_LIMIT"):
        Rate.parse(text, "CHURN_RATE_LIMIT")


def test_tokens_come_back_with_time_up_to_the_burst() -> None:
    bucket = Rate(10, 1).bucket(1, 0.0)
    assert [bucket.take(0.0) for _ in range(10)] == [0.0] * 10
    assert bucket.take(0.0) == pytest.approx(0.1)
    assert bucket.take(0.101) == 0.0
    assert [bucket.take(1000.0) for _ in range(10)] == [0.0] * 10
    assert bucket.take(1000.0) > 0


def test_who_is_told_to_wait_is_let_in_after_that() -> None:
    bucket = Rate(3, 60).bucket(1, 5.0)
    for _ in range(3):
        bucket.take(5.0)
    wait = bucket.take(5.0)
    assert bucket.take(5.0 + wait * 0.99) > 0
    assert bucket.take(5.0 + wait * 1.0001) == 0.0


def test_a_debt_is_paid_before_the_next_row() -> None:
    bucket = Rate(100, 1).bucket(1, 0.0)
    assert bucket.take(0.0) == 0.0
    assert bucket.charge(999) == 0.0
    assert bucket.charge(1) == pytest.approx(9.01)
    assert bucket.take(9.0) > 0
    assert bucket.take(9.1) == 0.0


def test_the_headers_say_what_is_left() -> None:
    bucket = Rate(60, 60).bucket(2, 0.0)
    for _ in range(12):
        bucket.take(0.0)
    assert bucket.headers() == (
        (b"ratelimit-policy", b"30;w=60"),
        (b"ratelimit-limit", b"30"),
        (b"ratelimit-remaining", b"18"),
        (b"ratelimit-reset", b"24"),
    )


@given(
    quota=st.integers(1, 1000),
    window=st.sampled_from([1, 60, 3600]),
    workers=st.integers(1, 8),
    steps=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 500)), min_size=1, max_size=60),
)
def test_whatever_comes_the_rate_holds_but_for_one_batch(
    quota: int, window: int, workers: int, steps: list[tuple[float, int]]
) -> None:
    bucket = Rate(quota, window).bucket(workers, 0.0)
    now, rows, largest = 0.0, 0, 0
    for pause, batch in steps:
        now += pause
        if bucket.take(now) == 0.0:
            rows += 1
            if batch > 1 and bucket.charge(batch - 1) == 0.0:
                rows += batch - 1
                largest = max(largest, batch)
        told = dict(bucket.headers())
        assert 0 <= int(told[b"ratelimit-remaining"]) <= int(told[b"ratelimit-limit"])
    burst = max(quota / workers, 1)
    assert rows <= burst + now * quota / workers / window + largest + 1e-6
