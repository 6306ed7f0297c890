from __future__ import annotations

from urllib.parse import quote

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from churn.domain.errors import UserError
from serving import translation
from serving.errors import (
    Failure,
    Fault,
    InvalidValuesError,
    RequestError,
    StaleCustomerError,
    UnavailableError,
    UnknownCustomerError,
    refusal,
)
from serving.stock import kserve_errors

SECRET = "the text of an exception, /etc/passwd and all"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (kserve_errors.InvalidInput(SECRET), 400, "INVALID_ARGUMENT"),
        (ClientDisconnect(), 400, "INVALID_ARGUMENT"),
        (kserve_errors.ModelNotFound(SECRET), 404, "NOT_FOUND"),
        (kserve_errors.ModelNotReady(SECRET), 503, "UNAVAILABLE"),
        (kserve_errors.ServerNotReady(SECRET), 503, "UNAVAILABLE"),
        (NotImplementedError(SECRET), 501, "UNIMPLEMENTED"),
        (kserve_errors.UnsupportedProtocol(SECRET), 501, "UNIMPLEMENTED"),
        (HTTPException(405, SECRET), 405, "NOT_FOUND"),
        (ValueError(SECRET), 500, "INTERNAL"),
        (UserError(SECRET), 500, "INTERNAL"),
        (UnavailableError("not now"), 503, "UNAVAILABLE"),
    ],
)
def test_every_exception_has_a_status_and_keeps_its_text(error: Exception, status: int, code: str) -> None:
    told = translation.translate(error)
    assert (told.status, told.grpc) == (status, code)
    for open_inference in (True, False):
        assert SECRET not in str(translation.rest_body(told, open_inference=open_inference))
    assert SECRET not in translation.grpc_message(told)


def test_the_two_protocols_have_their_own_form_of_an_error() -> None:
    told = InvalidValuesError([Fault("a", "is b"), Fault("c", "is d")])
    beside = {"code": "invalid_values", "details": told.details}
    assert translation.rest_body(told, open_inference=True) == {"error": "a is b (and 1 more)", **beside}
    assert translation.rest_body(told, open_inference=False) == {"error": {"message": "a is b (and 1 more)", **beside}}
    assert translation.grpc_message(told) == "a is b\nc is d"
    assert translation.grpc_message(RequestError("so")) == "so"


@pytest.mark.parametrize("text", ["x", "ü" * 80, "\N{GRINNING FACE}" * 80, "known: " + "column, " * 60])
@pytest.mark.parametrize("count", [1, 20, 21, 10_000])
def test_the_text_of_a_grpc_status_fits_a_header_and_counts_what_is_left_out(text: str, count: int) -> None:
    message = translation.grpc_message(InvalidValuesError([Fault(text, text)] * count))
    assert len(quote(message)) < 7000
    told = message.count(f"{text} {text}")
    assert 1 <= told <= 20
    assert message.endswith(f"\nand {count - told} more") == (told < count)


def test_failures_of_several_kinds_are_one_refusal_in_the_order_of_customers() -> None:
    unknown = Failure(0, Fault("instances[0]", "is unknown"), UnknownCustomerError)
    stale = Failure(1, Fault("instances[1]", "is stale"), StaleCustomerError)
    wrong = Failure(2, Fault("instances[2]", "is wrong"))
    assert isinstance(refusal([stale]), StaleCustomerError)
    assert isinstance(refusal([stale, unknown]), UnknownCustomerError)
    both = refusal([wrong, stale, unknown])
    assert (type(both), both.details) == (InvalidValuesError, (unknown.fault, stale.fault, wrong.fault))


@pytest.mark.parametrize(("after", "said"), [(0.0, "1"), (0.2, "1"), (1.5, "2"), (30.0, "30")])
def test_who_is_told_to_come_back_is_told_when(after: float, said: str) -> None:
    assert UnavailableError("not now", retry_after=after).headers == {"retry-after": said}
