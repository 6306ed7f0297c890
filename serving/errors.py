"""What a request may be refused with: one class each, with its HTTP status, its gRPC code, and every fault found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong: where in the request (`instances[3].tenure`), and what."""

    path: str
    problem: str


class RequestError(Exception):
    """Why there is no answer. Nothing in it comes from another exception's text.

    `headers` go with the answer: over HTTP as they are, over gRPC as trailing metadata with names in lower case."""

    status: int = 500
    grpc: ClassVar[str] = "INTERNAL"
    code: str = "internal"

    def __init__(self, message: str, details: Sequence[Fault] = (), headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)
        self.total = len(self.details)
        self.headers = dict(headers or {})


MOST_DETAILS = 1000
"""Faults that are listed; the message counts all there are."""


class FaultyRequestError(RequestError):
    """A refusal because of faults; the message names the first of them."""

    def __init__(self, details: Sequence[Fault]) -> None:
        first = details[0]
        more = f" (and {len(details) - 1} more)" if details[1:] else ""
        super().__init__(f"{first.path} {first.problem}{more}", details[:MOST_DETAILS])
        self.total = len(details)


class MalformedError(FaultyRequestError):
    """Not a request of the protocol: no JSON, no rows, tensors that do not fit their shapes."""

    status, grpc, code = 400, "INVALID_ARGUMENT", "malformed"


class InvalidValuesError(FaultyRequestError):
    """Fields or values that the model's contract does not allow."""

    status, grpc, code = 422, "INVALID_ARGUMENT", "invalid_values"


class UnknownCustomerError(FaultyRequestError):
    """Customers of whom the online store holds nothing."""

    status, grpc, code = 404, "NOT_FOUND", "unknown_customer"


class UnreachableCustomerError(FaultyRequestError):
    """Customers whose stored values cannot be had now, in a request that asks for whatever there is."""

    status, grpc, code = 503, "UNAVAILABLE", "unavailable"


class StaleCustomerError(FaultyRequestError):
    """Customers whose stored values are too old to be answered from."""

    status, grpc, code = 409, "FAILED_PRECONDITION", "stale_customer"


@dataclass(frozen=True, slots=True)
class Failure:
    """What is wrong with one customer of a request."""

    row: int
    fault: Fault
    kind: type[FaultyRequestError] = InvalidValuesError


_BY_WEIGHT = (InvalidValuesError, UnknownCustomerError, StaleCustomerError, UnreachableCustomerError)


def refusal(failures: Sequence[Failure]) -> FaultyRequestError:
    """All failures of a request as one, in the order of the customers; of several kinds, wrong values come first."""
    kinds = {failure.kind for failure in failures}
    first = next(kind for kind in _BY_WEIGHT if kind in kinds)
    return first([failure.fault for failure in sorted(failures, key=lambda one: one.row)])


class TooLargeError(RequestError):
    """More bytes, or more customers, than one request may have."""

    status, grpc, code = 413, "RESOURCE_EXHAUSTED", "too_large"


class UnknownModelError(RequestError):
    """A model that this server does not serve."""

    status, grpc, code = 404, "NOT_FOUND", "unknown_model"


class MediaTypeError(RequestError):
    """A body that does not claim to be JSON."""

    status, grpc, code = 415, "INVALID_ARGUMENT", "unsupported_media_type"


class UnauthenticatedError(RequestError):
    """No API key and no token, or one that is not good; its header says what would be."""

    status, grpc, code = 401, "UNAUTHENTICATED", "unauthenticated"


class ForbiddenError(RequestError):
    """Something that is not done on request, or not for this caller."""

    status, grpc, code = 403, "PERMISSION_DENIED", "forbidden"


class TooManyRequestsError(RequestError):
    """More than the caller's rate allows; its header says when to come back."""

    status, grpc, code = 429, "RESOURCE_EXHAUSTED", "too_many_requests"


class NotSupportedError(RequestError):
    """A part of the protocol that this server does not have."""

    status, grpc, code = 501, "UNIMPLEMENTED", "not_supported"


WHICH_VERSION = "which version answers is decided by the traffic document"
"""Why nobody may ask for one."""


class UnavailableError(RequestError):
    """Not now: the model is not ready, or the online store does not answer. Ask again after `retry_after` seconds."""

    status, grpc, code = 503, "UNAVAILABLE", "unavailable"

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message, headers={"retry-after": str(max(1, math.ceil(retry_after)))})


class RouteError(RequestError):
    """An address, or a method, that this server does not have; of a wrong method, `allow` are those that would do."""

    grpc = "NOT_FOUND"

    def __init__(self, status: HTTPStatus, allow: str = "") -> None:
        problem = f"{status.phrase.lower()}: this server has no such address or method"
        super().__init__(problem, headers={"allow": allow} if allow else None)
        self.status = status
        self.code = status.phrase.lower().replace(" ", "_")
