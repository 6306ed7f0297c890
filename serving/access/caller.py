"""What a request brings to the door, who it turns out to be, and why it may be sent away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from serving.access.limits import Bucket
from serving.errors import RequestError, UnauthenticatedError

Scope = Literal["predict", "explain", "admin"]
SCOPES: tuple[Scope, ...] = ("predict", "explain", "admin")
"""None implies another: a key that may predict and explain names both."""

API_KEY, AUTHORIZATION, FORWARDED_FOR = "x-api-key", "authorization", "x-forwarded-for"


class Credentials(msgspec.Struct, frozen=True):
    """The three headers that decide who asks, as bytes; empty when the request has none.

    An API key comes as `X-API-Key: <id>.<secret>` or as `Authorization: Bearer <id>.<secret>`, a JWT as a bearer token.
    A request with X-API-Key is judged by it alone: its Authorization may belong to a proxy."""

    api_key: bytes = b""
    authorization: bytes = b""
    forwarded_for: bytes = b""

    @classmethod
    def of(cls, headers: Iterable[tuple[bytes | str, bytes | str]]) -> Credentials:
        """From pairs of name and value: ASGI's headers, or gRPC's metadata. Names in lower case, as both have them.

        A header given twice is joined by a comma, which no key and no token contains."""
        found: dict[bytes, bytes] = {}
        for name, value in headers:
            known = _KNOWN.get(name)
            if known is not None:
                given = value if isinstance(value, bytes) else value.encode("utf-8", "replace")
                found[known] = found[known] + b"," + given if known in found else given
        return cls(*(found.get(known, b"") for known in _ORDER)) if found else NO_CREDENTIALS

    def __repr__(self) -> str:
        return f"Credentials({', '.join(f'{name}={value}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, str]]:  # what msgspec gives would show the secrets
        return [(name, "set" if getattr(self, name) else "none") for name in self.__struct_fields__]


_ORDER = tuple(name.encode() for name in (API_KEY, AUTHORIZATION, FORWARDED_FOR))
_KNOWN: dict[bytes | str, bytes] = {form: name for name in _ORDER for form in (name, name.decode())}
NO_CREDENTIALS = Credentials()


class Trace(msgspec.Struct, frozen=True):
    """How a request is found again in the logs."""

    request_id: str = ""
    traceparent: str = ""


NO_TRACE = Trace()


class Caller(msgspec.Struct, frozen=True, eq=False):
    """Who was let in.

    `identity` is the one whose rate and behaviour are counted (a key's id, a token's hashed subject, a network);
    `name` is for the audit; `label` is for metrics, and takes few values: a key's name, `jwt` or `anonymous`.
    `source` is the key or token this was made from, `bucket` the rate that is left."""

    identity: str
    name: str
    label: str
    kind: Literal["key", "jwt", "anonymous"]
    scopes: frozenset[str]
    bulk: bool = False
    bucket: Bucket | None = None
    source: object = None

    def __repr__(self) -> str:
        return f"Caller({self.identity})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("identity", self.identity)]

    def rate_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """`RateLimit-*` for an answer, as ASGI wants them; none without a limit."""
        return self.bucket.headers() if self.bucket else ()


class Refused(Exception):  # noqa: N818 - an answer, not an error
    """Carries a refusal from where it is found to the door: what the client is told, and what the audit is."""

    def __init__(self, reason: str, answer: RequestError, *, identity: str = "", name: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.answer = answer
        self.identity = identity
        self.name = name


def unauthenticated(reason: str, message: str, *, identity: str = "", name: str = "") -> Refused:
    """A 401 with the challenge of RFC 6750; `message` is a phrase of ours, never the client's text."""
    error = "" if reason == "no_credentials" else f', error="invalid_token", error_description="{message}"'
    challenge = {"www-authenticate": f'Bearer realm="churn"{error}'}
    return Refused(reason, UnauthenticatedError(message, headers=challenge), identity=identity, name=name)
