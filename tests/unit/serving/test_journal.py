from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from serving.call import Call
from serving.journal import Journal, Lines, now
from serving.settings import Said


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.mark.parametrize(
    ("said", "told"), [("refused", [400, 404, 503]), ("all", [200, 204, 400, 404, 503]), ("none", [])]
)
def test_a_line_is_said_of_the_requests_that_are_to_be_told(
    capsys: pytest.CaptureFixture[str], said: Said, told: list[int]
) -> None:
    journal = Journal(said)
    for status in (200, 204, 400, 404, 503):
        journal.request(Call("v1 predict", "7"), status)
    assert [line["status"] for line in lines(capsys)] == told


def test_a_line_says_what_became_of_a_request_and_nothing_of_the_customer(capsys: pytest.CaptureFixture[str]) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    Journal("all").request(Call("v1 predict", "7", trace), 500)
    (line,) = lines(capsys)
    assert line.pop("ms") >= 0
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "ERROR",
        "logger": "serving.request",
        "route": "v1 predict",
        "status": 500,
        "caller": "",
        "request_id": "7",
        "traceparent": trace,
    }


def test_a_log_record_is_one_line_of_json_whatever_is_in_it() -> None:
    record = logging.LogRecord("serving", logging.INFO, "f.py", 1, 'a "b"\n%s', ("ü\x1b[0m",), None)
    text = Lines().format(record)
    assert "\n" not in text
    assert json.loads(text) == {
        "time": json.loads(text)["time"],
        "level": "INFO",
        "logger": "serving",
        "message": 'a "b"\nü\x1b[0m',
    }


def test_of_an_exception_the_kind_and_the_place_are_said_and_never_its_text() -> None:
    try:
        broken()
    except RuntimeError:
        record = logging.LogRecord("serving", logging.ERROR, "f.py", 1, "it broke", (), sys.exc_info())
    text = Lines().format(record)
    assert "canary" not in text
    outer, inner = json.loads(text)["exception"]
    assert outer.startswith("RuntimeError at test_journal.py:")
    assert inner.startswith("ValueError at test_journal.py:")


def broken() -> None:
    try:
        int("canary-1")
    except ValueError as error:
        raise RuntimeError("canary-2") from error


def test_the_time_is_in_utc_to_the_millisecond() -> None:
    assert len(now()) == len("2026-03-01T00:00:00.000Z")
