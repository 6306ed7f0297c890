from __future__ import annotations

from churn.stores.prediction_log.backlog import Backlog
from churn.stores.prediction_log.segments import decoded
from tests.unit.stores.prediction_log.samples import record


def test_what_does_not_fit_into_memory_is_lost_and_counted() -> None:
    backlog = Backlog(limit_bytes=10_000)
    for _ in range(100):
        backlog.add(record(rows=5))

    assert backlog.bytes <= 10_000
    assert backlog.rows + backlog.lost_rows == 500
    assert backlog.lost_rows > 0


def test_the_oldest_are_kept_in_order() -> None:
    backlog = Backlog(limit_bytes=10_000)
    for number in range(100):
        backlog.add(record(request_id=str(number)))
    backlog.encode()
    frame = backlog.take()

    assert frame
    assert [one.request_id for one in decoded(frame.content)] == [str(number) for number in range(frame.rows)]


def test_a_record_that_can_not_be_encoded_spoils_no_other() -> None:
    backlog = Backlog(limit_bytes=1 << 20)
    for request in ("good", "bad \ud800", "good too"):
        backlog.add(record(request_id=request))
    backlog.encode()
    frames = [backlog.take(), backlog.take()]

    assert [decoded(frame.content)[0].request_id for frame in frames if frame] == ["good", "good too"]
    assert (backlog.rows, backlog.lost_rows) == (2, 1)


def test_large_records_are_framed_apart() -> None:
    backlog = Backlog(limit_bytes=1 << 26)
    for _ in range(4):
        backlog.add(record(rows=50_000))
    backlog.encode()

    assert [backlog.take() is not None for _ in range(5)] == [True, True, True, True, False]


def test_all_that_was_counted_in_is_counted_out() -> None:
    backlog = Backlog(limit_bytes=1 << 26)
    for _ in range(4):
        backlog.add(record(rows=3))
    backlog.encode()
    while frame := backlog.take():
        backlog.done(frame)

    assert (backlog.rows, backlog.bytes, backlog.lost_rows) == (0, 0, 0)
