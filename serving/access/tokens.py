"""JSON Web Tokens of an identity provider whose public keys lie in a file.

One algorithm is pinned, and the file must hold keys of its kind: a token cannot choose to be checked in another way
(`none`, or HS256 with a public key as the secret). Nothing is fetched: `jku`, `x5u`, `jwk` in a token mean nothing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from churn.domain.errors import UserError
from serving.access.bounded import Bounded
from serving.access.caller import SCOPES, Refused, Scope, unauthenticated
from serving.access.token_keys import ALGORITHMS, TokenKeys

KEYS, ALGORITHM = "CHURN_JWT_KEYS", "CHURN_JWT_ALGORITHM"
ISSUER, AUDIENCE = "CHURN_JWT_ISSUER", "CHURN_JWT_AUDIENCE"
LEEWAY, NAME_CLAIM = "CHURN_JWT_LEEWAY", "CHURN_JWT_NAME_CLAIM"

_MOST_LEEWAY_S = 300
_LONGEST = 8192
_REMEMBERED = 4096
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:/-]{0,63}")
_CLAIM = re.compile(r"[A-Za-z0-9_.:/-]{1,100}")


class TokenOptions(msgspec.Struct, frozen=True):
    """`leeway` is in seconds, for clocks that differ; an empty `name_claim` names callers by a hash of `sub`."""

    keys: Path
    algorithm: str
    issuer: str
    audience: str
    leeway: int = 30
    name_claim: str = ""

    @classmethod
    def load(cls, env: Mapping[str, str]) -> TokenOptions | None:
        """Reads CHURN_JWT_*; None when none is set. Raises UserError for a half of a configuration."""
        given = {name: env[name] for name in (KEYS, ALGORITHM, ISSUER, AUDIENCE, LEEWAY, NAME_CLAIM) if env.get(name)}
        if not given:
            return None
        for name in (KEYS, ALGORITHM, ISSUER, AUDIENCE):
            if name not in given:
                remedy = f"tokens need {KEYS}, {ALGORITHM}, {ISSUER} and {AUDIENCE}"
                raise UserError(f"is not set although {next(iter(given))} is", where=name, remedy=remedy)
        if given[ALGORITHM] not in ALGORITHMS:
            known = f"one of {', '.join(ALGORITHMS)}"
            raise UserError(f"'{given[ALGORITHM][:40]}' is not supported", where=ALGORITHM, remedy=known)
        if not _CLAIM.fullmatch(given.get(NAME_CLAIM, "sub")):
            raise UserError("is no name of a claim", where=NAME_CLAIM, remedy="name one, as in client_id")
        return cls(
            keys=Path(given[KEYS]).expanduser().absolute(),
            algorithm=given[ALGORITHM],
            issuer=given[ISSUER],
            audience=given[AUDIENCE],
            leeway=_leeway(given.get(LEEWAY, "30")),
            name_claim=given.get(NAME_CLAIM, ""),
        )


class Token(msgspec.Struct, frozen=True, eq=False):
    """A token that was verified. `identity` is a hash of issuer and subject, `ends` seconds since the epoch."""

    identity: str
    name: str
    scopes: frozenset[Scope]
    ends: float


class Tokens:
    """Verifies tokens against the keys it was made with, and remembers those it has verified until they expire."""

    def __init__(self, options: TokenOptions) -> None:
        """Raises UserError when the file of keys is not good."""
        import jwt

        self._jwt = jwt
        self._options = options
        self._keys = TokenKeys.read(options.keys, options.algorithm, KEYS)
        self._verified: Bounded[bytes, Token] = Bounded(_REMEMBERED)

    def find(self, presented: bytes, now: float) -> Token:
        """The token; `now` is seconds since the epoch. Raises Refused."""
        digest = hashlib.sha256(presented).digest()
        token = self._verified.get(digest)
        if token is not None and now < token.ends:
            return token
        return self._verified.put(digest, self.verify(presented))

    def verify(self, presented: bytes) -> Token:
        """Verifies without looking at what is remembered. Raises Refused."""
        if len(presented) > _LONGEST:
            raise unauthenticated("malformed_token", "the token is too long")
        try:
            return self._token(self._claims(presented))
        except Refused:
            raise
        except self._jwt.ExpiredSignatureError:
            raise unauthenticated("expired_token", "the token has expired") from None
        except self._jwt.InvalidIssuerError:
            raise unauthenticated("wrong_issuer", "the token has another issuer") from None
        except self._jwt.InvalidAudienceError:
            raise unauthenticated("wrong_audience", "the token is for another audience") from None
        except Exception:  # noqa: BLE001 - a library reads what a stranger wrote: whatever it trips over, it is no token
            raise unauthenticated("invalid_token", "the token is not valid") from None

    def _claims(self, presented: bytes) -> dict[str, Any]:
        header = self._jwt.get_unverified_header(presented)
        if "crit" in header:
            raise unauthenticated("invalid_token", "the token asks for extensions that are not supported")
        options = self._options
        claims: dict[str, Any] = self._jwt.decode(
            presented,
            self._keys.choose(header.get("kid")),
            algorithms=[options.algorithm],
            audience=options.audience,
            issuer=options.issuer,
            leeway=options.leeway,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        return claims

    def _token(self, claims: dict[str, Any]) -> Token:
        identity = hashlib.sha256(f"{claims['iss']}\n{claims['sub']}".encode()).hexdigest()[:16]
        named = claims.get(self._options.name_claim or "sub")
        plain = self._options.name_claim and isinstance(named, str) and _PLAIN_NAME.fullmatch(named)
        return Token(
            identity=f"jwt:{identity}",
            name=named if plain and isinstance(named, str) else f"jwt:{identity}",
            scopes=_scopes(claims),
            ends=float(int(claims["exp"]) + self._options.leeway),
        )


def _scopes(claims: Mapping[str, Any]) -> frozenset[Scope]:
    """From `scope` (RFC 8693: words in one string) and `scp` (a list, or such a string); others' scopes are ignored."""
    words: set[str] = set()
    for name in ("scope", "scp"):
        given = claims.get(name, "")
        words.update(given.split() if isinstance(given, str) else (word for word in given if isinstance(word, str)))
    return frozenset(scope for scope in SCOPES if scope in words)


def _leeway(text: str) -> int:
    if not re.fullmatch("[0-9]{1,3}", text) or int(text) > _MOST_LEEWAY_S:
        remedy = f"give whole seconds, {_MOST_LEEWAY_S} at most"
        raise UserError(f"'{text[:40]}' cannot be", where=LEEWAY, remedy=remedy)
    return int(text)
