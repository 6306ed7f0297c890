"""KFP's own client, with a limit to its patience, and with its refusals said in words."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from churn.domain.errors import UserError

HOST, TOKEN = "KF_PIPELINES_ENDPOINT", "KF_PIPELINES_SA_TOKEN_PATH"

_SECONDS = 30
_PAGE = 100
_LONGEST = 300
_AGAIN = frozenset({404, 409, 429, 502, 503, 504})
"""Statuses after which looking once more may help: overload, or somebody else was quicker."""

_REMEDIES = {
    400: "in a KFP that several users share, give --namespace",
    401: f"{TOKEN} names the file of a token that KFP accepts",
    403: f"the token of {TOKEN} has to be allowed to change recurring runs; in a shared KFP give --namespace",
    404: "is it the address of KFP's API, version 2?",
    409: "somebody else changes the same things: run it again",
}


class TryAgainError(UserError):
    """What was refused or lost now, but need not be when all is looked at and decided once more."""


def address(host: str) -> str:
    """The address of KFP's API. Raises UserError for none, and for one with a password in it, which logs would show."""
    host = (host or os.environ.get(HOST, "")).rstrip("/")
    parts = urlsplit(host)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise UserError("no address of KFP's API is given", where="--host", remedy=f"like http://host:8888, or {HOST}")
    return host


class Client:
    """The generated APIs of the real `kfp.Client`, for `call`. Raises UserError, TryAgainError where that helps."""

    def __init__(self, host: str, namespace: str = "") -> None:
        """Signs in with the token in the file that KF_PIPELINES_SA_TOKEN_PATH names, or that a pod has, if any."""
        import kfp

        self.host = host
        path = os.environ.get(TOKEN, "")
        if path and not Path(path).is_file():
            raise UserError("there is no such file", where=TOKEN, remedy="it holds the token for KFP's API")
        token = Path(path or kfp.client.KF_PIPELINES_SA_TOKEN_PATH)
        signed = kfp.client.ServiceAccountTokenVolumeCredentials(str(token)) if token.is_file() else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Without a namespace the client would ask which one it is in, and sleep between its attempts.
            self._kfp = kfp.Client(host, credentials=signed, namespace=namespace or "-")
        self.namespace = namespace or None
        self.pipelines, self.uploads = self._kfp.pipelines, self._kfp.pipeline_uploads
        self.experiments, self.recurring_runs = self._kfp.experiments, self._kfp.recurring_runs

    def pages(self, list_: Callable[..., Any], field: str, **arguments: Any) -> Iterator[Any]:
        """Everything that a list call of the generated API gives, page by page."""
        token = ""
        while True:
            answer = self.call(list_, page_token=token, page_size=_PAGE, **arguments)
            yield from getattr(answer, field) or []
            token = answer.next_page_token or ""
            if not token:
                return

    def named(self, list_: Callable[..., Any], field: str, name: str, **arguments: Any) -> Any:
        """The one thing of a name, or None."""
        predicate = {"operation": "EQUALS", "key": "display_name", "string_value": name}
        only = msgspec.json.encode({"predicates": [predicate]}).decode()
        return next(self.pages(list_, field, filter=only, **arguments), None)

    def call(self, function: Callable[..., Any], *positional: Any, **arguments: Any) -> Any:
        """What KFP answers to one call."""
        import kfp_server_api
        import urllib3

        try:
            answer = function(*positional, **arguments, _request_timeout=_SECONDS)
        except kfp_server_api.ApiException as error:
            raise self._refusal(error.status or 0, error.reason, error.body) from None
        except urllib3.exceptions.HTTPError as error:
            raise TryAgainError(f"does not answer: {_innermost(error)}", where=self.host) from None
        except OSError as error:
            raise UserError("cannot be read", where=TOKEN, remedy=error.strerror or "") from None
        except (AttributeError, TypeError, ValueError):
            raise UserError("answers something else than KFP's API", where=self.host, remedy=_REMEDIES[404]) from None
        # The client takes whatever it is given, a web page too, for an answer in which nothing is said.
        if not str(self._kfp.pipelines.api_client.last_response.data).lstrip().startswith("{"):
            raise UserError("answers something else than KFP's API", where=self.host, remedy=_REMEDIES[404])
        return answer

    def _refusal(self, status: int, reason: str | None, body: Any) -> UserError:
        told = self._redacted(_message(body) or reason or "no reason")
        kind = TryAgainError if status in _AGAIN else UserError
        remedy = _REMEDIES.get(status, "") if status != 400 or "namespace" in told.lower() else ""
        return kind(f"KFP answers {status}: {told}", where=self.host, remedy=remedy)

    def _redacted(self, told: str) -> str:
        """Without the token, should the other side, or a proxy, send back what it was sent."""
        signed = str(self._kfp._existing_config.api_key.get("authorization", ""))  # noqa: SLF001 - nowhere else
        return told.replace(signed, "***") if signed else told


def _message(body: Any) -> str:
    """What an answer says in one line; the gateway and the uploads have a form each."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
    try:
        document = msgspec.json.decode(text)
    except msgspec.DecodeError:
        document = None
    if isinstance(document, dict):
        text = str(document.get("message") or document.get("error_message") or document.get("error") or "")
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _innermost(error: BaseException) -> str:
    """What went wrong on the line, without the wrappers around it."""
    reason = getattr(error, "reason", None)
    return _innermost(reason) if isinstance(reason, BaseException) else str(error).rpartition(": ")[2]
