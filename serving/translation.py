"""Every exception that ends a request as one of our refusals, and a refusal as REST and gRPC say it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from serving.documents import BODY
from serving.errors import (
    Fault,
    MalformedError,
    NotSupportedError,
    RequestError,
    RouteError,
    UnavailableError,
    UnknownModelError,
)
from serving.stock import kserve_errors

_MALFORMED = (kserve_errors.InvalidInput, RequestValidationError, ClientDisconnect)
_NOT_READY = (kserve_errors.ModelNotReady, kserve_errors.ServerNotReady, kserve_errors.ServerNotLive)
_NOT_SUPPORTED = (NotImplementedError, kserve_errors.UnsupportedProtocol)

HANDLED = (RequestError, HTTPException, kserve_errors.ModelNotFound, *_MALFORMED, *_NOT_READY, *_NOT_SUPPORTED)

_TOLD = 20
_TOLD_BYTES = 6000
"""Of a status' text as gRPC spells it; clients take no more than 8 KiB of headers."""


def translate(error: Exception) -> RequestError:
    """The refusal an exception means. What nobody foresaw becomes one that says nothing about it."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, kserve_errors.ModelNotFound):
        return UnknownModelError("this server has no model of that name")
    if isinstance(error, HTTPException):
        return RouteError(HTTPStatus(error.status_code), (error.headers or {}).get("Allow", ""))
    if isinstance(error, _MALFORMED):
        return MalformedError([Fault(BODY, "is not a request of the protocol")])
    if isinstance(error, _NOT_READY):
        return UnavailableError("the model is not ready")
    if isinstance(error, _NOT_SUPPORTED):
        return NotSupportedError("this server does not do that")
    return RequestError("something went wrong in the server; its log says what")


async def respond(request: Request, error: Exception) -> Response:
    """The REST answer to a request that ended in an exception."""
    refusal = translate(error)
    body = msgspec.json.encode(rest_body(refusal, open_inference=request.url.path.startswith("/v2")))
    return Response(body, refusal.status, refusal.headers, media_type="application/json")


def rest_body(refusal: RequestError, *, open_inference: bool) -> dict[str, Any]:
    """`{"error": {"code", "message", "details"}}`; open inference wants `error` to be a string, beside the rest."""
    beside = {"code": refusal.code, "details": refusal.details}
    return {"error": refusal.message, **beside} if open_inference else {"error": {"message": refusal.message, **beside}}


def grpc_message(refusal: RequestError) -> str:
    """The text of a gRPC status: the message, or one line a fault, not more than a header may hold."""
    lines: list[str] = []
    left = _TOLD_BYTES
    for fault in refusal.details[:_TOLD]:
        line = f"{fault.path} {fault.problem}"
        left -= len(quote(line))
        if left < 0:
            break
        lines.append(line)
    more = [f"and {refusal.total - len(lines)} more"] if refusal.total > len(lines) else []
    return "\n".join([*lines, *more]) or refusal.message
