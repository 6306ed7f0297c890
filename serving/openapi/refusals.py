"""What a request may be refused with, from the classes of the refusals themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from serving import errors
from serving.errors import RequestError, RouteError
from serving.openapi.fields import Schema, ref

ELSEWHERE = {
    "not_found": (404, "No such address."),
    "method_not_allowed": (405, "An address that takes other methods."),
    "timeout": (408, "The request did not arrive in time."),
    "headers_too_large": (431, "The headers are larger than 64 KiB."),
}
"""Codes that are no class of their own; the last two come from below HTTP's routes, in the form of v1."""

FROM_BELOW = (408, 431)

ANYWHERE = (*FROM_BELOW, 500)
CLOSED = (401, 403, 429)
PREDICTION = (400, 404, 409, 413, 415, 422, 503)

_HEADERS = {401: ["WWW-Authenticate"], 403: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}
_LIMITS = ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "RateLimit-Policy"]


def known() -> dict[str, tuple[int, str]]:
    """HTTP status and meaning of every code, by status."""
    found = {one.code: (int(one.status), _said(one)) for one in _classes() if "code" in vars(one)}
    return dict(sorted({**found, **ELSEWHERE}.items(), key=lambda one: (one[1][0], one[0])))


def grpc_codes() -> dict[str, str]:
    """The gRPC status of each code that gRPC has."""
    return {one.code: one.grpc for one in _classes() if "code" in vars(one)}


def responses() -> dict[str, Schema]:
    """Responses to be pointed at: for each status one of v1, and one of v2."""
    found: dict[str, Schema] = {}
    for status in sorted({status for status, _ in known().values()}):
        told = [f"{meaning} (`{code}`)" for code, (its, meaning) in known().items() if its == status]
        for name, schema in (("Error", "Error"), ("InferenceError", "InferenceError")):
            form = "Error" if status in FROM_BELOW else schema
            found[f"{name}{status}"] = {
                "description": " ".join(told),
                "headers": _headers(status),
                "content": {"application/json": {"schema": ref(form)}},
            }
    return found


def of(statuses: Iterable[int], *, inference: bool) -> dict[str, Schema]:
    """Pointers to them."""
    form = "InferenceError" if inference else "Error"
    return {str(status): {"$ref": f"#/components/responses/{form}{status}"} for status in sorted(statuses)}


def headers() -> dict[str, Schema]:
    """Headers to be pointed at."""
    number: Schema = {"type": "integer", "minimum": 0}
    return {
        "X-Request-Id": {
            "description": "The caller's own, where it can be repeated, otherwise a new one.",
            "required": True,
            "schema": {"type": "string", "minLength": 1, "maxLength": 128},
        },
        "traceparent": {
            "description": "W3C Trace Context; comes back with a span of this server's where one was given.",
            "schema": {"type": "string"},
        },
        "Inference-Header-Content-Length": {
            "description": "How many bytes of the body are JSON; the binary tensors follow.",
            "schema": number,
        },
        "WWW-Authenticate": {"description": "What would be let in.", "schema": {"type": "string"}},
        "Retry-After": {"description": "Seconds.", "required": True, "schema": number},
        "RateLimit-Limit": {"description": "Rows in each window; where there is a limit.", "schema": number},
        "RateLimit-Remaining": {"description": "Rows that are left.", "schema": number},
        "RateLimit-Reset": {"description": "Seconds until the whole limit is there again.", "schema": number},
        "RateLimit-Policy": {"description": "Limit and window.", "schema": {"type": "string"}},
    }


def pointers(*names: str) -> dict[str, Any]:
    """Pointers to headers."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def usual() -> dict[str, Any]:
    """Headers of every answer to a caller who was let in."""
    return pointers("X-Request-Id", "traceparent", *_LIMITS)


def _headers(status: int) -> dict[str, Any]:
    return {} if status in FROM_BELOW else usual() | pointers(*_HEADERS.get(status, []))


def _classes() -> list[type[RequestError]]:
    here = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, RequestError)]
    return [one for one in here if one is not RouteError]


def _said(kind: type[RequestError]) -> str:
    if kind is RequestError:
        return "Something went wrong in the server; its log says what."
    return " ".join((kind.__doc__ or "").split())
