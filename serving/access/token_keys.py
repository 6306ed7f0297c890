"""The keys that tokens are verified with: a PEM file, a JWKS, or for HS256 a file with the secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from churn.domain.errors import UserError
from serving.access.caller import unauthenticated
from serving.access.following import read_file, refuse_open_secret

ALGORITHMS = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP", "HS256": "oct"}
"""Each with the key type that a JWKS gives it."""

_FEWEST_RSA_BITS, _FEWEST_SECRET_BYTES = 2048, 32


class TokenKeys:
    """Verification keys by `kid`; the one of a PEM file has none, and serves every token."""

    def __init__(self, by_kid: dict[str | None, Any]) -> None:
        self._by_kid = by_kid
        self._only = next(iter(by_kid.values())) if len(by_kid) == 1 else None

    @classmethod
    def read(cls, path: Path, algorithm: str, where: str) -> TokenKeys:
        """Raises UserError naming the setting `where` when there is no key for the algorithm, or a weak one."""
        content = read_file(path, where)
        if algorithm == "HS256":
            refuse_open_secret(path, where)
        if content.lstrip()[:1] == b"{":
            return cls(_from_jwks(content, algorithm, where))
        key = _secret(content, where) if algorithm == "HS256" else _from_pem(content, where)
        _check(key, algorithm, where)
        return cls({None: key})

    def choose(self, kid: object) -> Any:
        """The key a token names. Raises Refused when there is none, or it names none and there are several."""
        if kid is None and self._only is not None:
            return self._only
        key = self._by_kid.get(kid) if isinstance(kid, str) else None
        key = self._by_kid.get(None) if key is None else key
        if key is None:
            raise unauthenticated("unknown_kid", "the token is signed with an unknown key")
        return key


def _from_jwks(content: bytes, algorithm: str, where: str) -> dict[str | None, Any]:
    """Those keys of the set that are for this algorithm; an identity provider's set holds others too."""
    from jwt import PyJWK, PyJWTError

    try:
        jwks = json.loads(content)
        listed = jwks.get("keys", [jwks])
        fitting = [jwk for jwk in listed if _fits(jwk, algorithm)]
        if any("d" in jwk for jwk in fitting):
            raise _private(where)
        found = {jwk.get("kid"): PyJWK(jwk, algorithm).key for jwk in fitting}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, PyJWTError) as error:
        raise UserError("the file is no JWKS", where=where, remedy="give the provider's JSON Web Key Set") from error
    if len(found) < len(fitting):
        raise UserError("keys of the JWKS share a `kid`", where=where, remedy="give each its own")
    if not found:
        raise UserError(f"the JWKS has no key for {algorithm}", where=where, remedy=_remedy(algorithm))
    for key in found.values():
        _check(key, algorithm, where)
    return found


def _fits(jwk: dict[str, Any], algorithm: str) -> bool:
    return (
        jwk["kty"] == ALGORITHMS[algorithm]
        and jwk.get("use", "sig") == "sig"
        and jwk.get("alg", algorithm) == algorithm
        and (jwk["kty"] != "EC" or jwk.get("crv") == "P-256")
        and (jwk["kty"] != "OKP" or jwk.get("crv") == "Ed25519")
    )


def _from_pem(content: bytes, where: str) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from cryptography.x509 import load_pem_x509_certificate

    if b"PRIVATE KEY" in content:
        raise _private(where)
    try:
        if b"BEGIN CERTIFICATE" in content:
            return load_pem_x509_certificate(content).public_key()
        return load_pem_public_key(content)
    except ValueError as error:
        raise UserError("the file holds no key", where=where, remedy="give a public key in PEM, or a JWKS") from error


def _secret(content: bytes, where: str) -> bytes:
    secret = content.strip()
    if secret.startswith((b"-----", b"ssh-")):
        raise UserError("a public key is no secret for HS256", where=where, remedy="choose the key's own algorithm")
    return secret


def _check(key: Any, algorithm: str, where: str) -> None:
    """Refuses a key of another kind than the algorithm's, and one that is too weak."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    good = {
        "RS256": isinstance(key, rsa.RSAPublicKey) and key.key_size >= _FEWEST_RSA_BITS,
        "ES256": isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1),
        "EdDSA": isinstance(key, ed25519.Ed25519PublicKey),
        "HS256": isinstance(key, bytes) and len(key) >= _FEWEST_SECRET_BYTES,
    }
    if not good[algorithm]:
        raise UserError(f"the key is not one for {algorithm}", where=where, remedy=_remedy(algorithm))


def _remedy(algorithm: str) -> str:
    wanted = {
        "RS256": f"an RSA key of {_FEWEST_RSA_BITS} bits or more",
        "ES256": "an elliptic key on P-256",
        "EdDSA": "an Ed25519 key",
        "HS256": f"a secret of {_FEWEST_SECRET_BYTES} random bytes or more",
    }
    return f"{algorithm} needs {wanted[algorithm]}"


def _private(where: str) -> UserError:
    return UserError(
        "the file holds a private key", where=where, remedy="give the public one: it is all that is needed"
    )
