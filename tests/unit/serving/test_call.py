from __future__ import annotations

import re

import pytest

from serving.call import Call, request_id, traceparent

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("given", ["42", "req-2026:1/a.b+c=_", "x" * 128])
def test_a_request_id_that_can_be_repeated_is_kept(given: str) -> None:
    assert request_id(given) == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\r\nset-cookie: x", "é", '"', "{}", "\0"])
def test_a_request_id_that_cannot_be_repeated_is_replaced(given: str) -> None:
    made = request_id(given)
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert made != request_id(given)


def test_a_trace_goes_on_with_a_span_of_this_server() -> None:
    carried = traceparent(TRACE)
    assert re.fullmatch("00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01", carried)
    assert carried != TRACE
    assert carried != traceparent(TRACE)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
        TRACE.upper(),
        "ff" + TRACE[2:],
        TRACE + "-more",
        TRACE[:-1],
        "canary\r\n" + TRACE,
    ],
)
def test_what_is_no_trace_is_not_carried(given: str) -> None:
    assert traceparent(given) == ""


def test_a_call_knows_how_long_it_has_taken_and_how_it_is_found_again() -> None:
    call = Call("v1 predict", "7", TRACE)
    assert 0 <= call.elapsed < 60
    assert (call.trace.request_id, call.trace.traceparent) == ("7", TRACE)
