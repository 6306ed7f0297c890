"""How a channel is asked to take a message, and what it may answer."""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

import msgspec

from churn.notices.notice import one_line

TIMEOUT_S = 10.0
"""How long a server may say nothing."""

_SHOWN = 200


class UndeliveredError(Exception):
    """A channel did not take a message. `again_s` is after how many seconds it may; None where asking again is vain."""

    def __init__(self, problem: str, again_s: float | None) -> None:
        super().__init__(problem)
        self.problem = one_line(problem, _SHOWN)
        self.again_s = again_s


class _NoRedirects(HTTPRedirectHandler):
    """A secret goes to the address that it was given for, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        """Leaves the redirection for an error."""
        return


def post(address: str, document: dict[str, Any], accepted: int) -> None:
    """Posts JSON. Raises UndeliveredError for every answer but `accepted`, and for none.

    What the server says is quoted, its address is not: it may be the secret."""
    request = Request(  # noqa: S310 - http or https, as `channels` checked
        address, msgspec.json.encode(document), {"Content-Type": "application/json", "User-Agent": "churn-notices"}
    )
    try:
        with build_opener(_NoRedirects).open(request, timeout=TIMEOUT_S) as answer:
            status = answer.status
    except HTTPError as error:
        raise _refused(error) from None
    except (URLError, OSError, http.client.HTTPException) as error:
        raise unreachable(getattr(error, "reason", error)) from None
    if status != accepted:
        raise UndeliveredError(f"it answered {status} instead of {accepted}", None)


def unreachable(reason: object) -> UndeliveredError:
    """The server was not reached, or fell silent. A name that is unknown today may be known tomorrow."""
    if isinstance(reason, TimeoutError):
        return UndeliveredError(f"it did not answer within {TIMEOUT_S:g} s", 0.0)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return UndeliveredError(f"its certificate is not trusted: {reason.verify_message}", None)
    if isinstance(reason, socket.gaierror):
        return UndeliveredError("its name is not known", 0.0)
    said = getattr(reason, "strerror", None) or type(reason).__name__
    return UndeliveredError(f"it was not reached: {said}", 0.0)


def _refused(error: HTTPError) -> UndeliveredError:
    try:
        said = error.read(_SHOWN * 4).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        said = ""
    finally:
        error.close()
    problem = f"it answered {error.code}: {said}" if said.strip() else f"it answered {error.code}"
    is_passing = error.code in (408, 429) or error.code >= 500
    return UndeliveredError(problem, _wait(error.headers.get("Retry-After", "")) if is_passing else None)


def _wait(header: str) -> float:
    """Seconds; a date, which nobody here has ever seen sent, counts as none."""
    return float(header) if header.isascii() and header.isdigit() else 0.0
