from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from churn.domain.errors import UserError
from serving.access import Access, Credentials
from serving.access.following import INTERVAL_S
from serving.access.token_keys import TokenKeys
from serving.errors import ForbiddenError, RequestError, TooManyRequestsError, UnauthenticatedError
from tests.certificates import private_pem, public_pem

ISSUER, AUDIENCE, HERE = "https://id.example", "churn", "192.0.2.7"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
KINDS: dict[str, Any] = {
    "RS256": RSA,
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def claims(**changed: Any) -> dict[str, Any]:
    usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "anna@example.com", "exp": int(time.time()) + 60}
    return {name: value for name, value in {**usual, "scope": "predict openid", **changed}.items() if value is not None}


def signed(key: Any = RSA, algorithm: str = "RS256", headers: dict[str, Any] | None = None, **changed: Any) -> bytes:
    return jwt.encode(claims(**changed), key, algorithm, headers=headers).encode()


def bearer(token: bytes) -> Credentials:
    return Credentials(authorization=b"Bearer " + token)


Open = Callable[..., Access]


@pytest.fixture(scope="session")
def anywhere(tmp_path_factory: pytest.TempPathFactory) -> Open:
    """Access by tokens that are verified with the file's content."""

    def opened(content: bytes = public_pem(RSA), algorithm: str = "RS256", **variables: str) -> Access:
        folder = tmp_path_factory.mktemp("tokens")
        (folder / "keys").write_bytes(content)
        (folder / "keys").chmod(0o600)
        given = {"KEYS": str(folder / "keys"), "ALGORITHM": algorithm, "ISSUER": ISSUER, "AUDIENCE": AUDIENCE}
        names = {f"CHURN_JWT_{name}": value for name, value in {**given, **variables}.items()}
        return Access.load({**names, "CHURN_AUDIT_FILE": str(folder / "audit.log"), "CHURN_RATE_LIMIT": "5/h"})

    return opened


@pytest.fixture(scope="session")
def access(anywhere: Open) -> Access:
    return anywhere()


@pytest.mark.parametrize("algorithm", KINDS)
def test_a_good_token_lets_in_with_its_scopes_and_without_its_subject(anywhere: Open, algorithm: str) -> None:
    key = KINDS[algorithm]
    caller = anywhere(public_pem(key), algorithm).admit(bearer(signed(key, algorithm)), HERE, "predict")
    assert (caller.label, caller.kind, caller.scopes) == ("jwt", "jwt", {"predict"})
    assert "anna" not in f"{caller}"
    assert caller.identity == caller.name


def test_a_shared_secret_works_for_hs256(anywhere: Open) -> None:
    secret = base64.b64encode(os.urandom(32))
    access = anywhere(secret + b"\n", "HS256")
    access.admit(bearer(signed(secret, "HS256")), HERE, "predict")
    with pytest.raises(UnauthenticatedError):
        access.admit(bearer(signed(os.urandom(32), "HS256")), HERE, "predict")


def forged(header: dict[str, Any], payload: dict[str, Any], signature: bytes = b"") -> bytes:
    parts = [json.dumps(header).encode(), json.dumps(payload).encode(), signature]
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", ""])
def test_a_token_without_a_signature_is_no_token(access: Access, algorithm: str) -> None:
    with pytest.raises(UnauthenticatedError):
        access.admit(bearer(forged({"alg": algorithm, "typ": "JWT"}, claims())), HERE, "predict")


def test_a_public_key_is_not_taken_for_a_secret(access: Access) -> None:
    import hashlib
    import hmac

    unsigned = forged({"alg": "HS256", "typ": "JWT"}, claims()).rpartition(b".")[0]
    for secret in (public_pem(RSA), public_pem(RSA).strip()):
        mac = hmac.new(secret, unsigned, hashlib.sha256).digest()
        token = unsigned + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")
        with pytest.raises(UnauthenticatedError):
            access.admit(bearer(token), HERE, "predict")


def test_a_public_key_is_refused_as_the_secret_of_hs256(anywhere: Open) -> None:
    with pytest.raises(UserError, match="CHURN_JWT_KEYS"):
        anywhere(public_pem(RSA), "HS256")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"exp": int(time.time()) - 31}, "expired"),
        ({"exp": None}, "not valid"),
        ({"exp": "soon"}, "not valid"),
        ({"exp": 10**400}, "not valid"),
        ({"nbf": int(time.time()) + 3600}, "not valid"),
        ({"iss": "https://evil.example"}, "issuer"),
        ({"iss": None}, "not valid"),
        ({"iss": [ISSUER]}, "issuer"),
        ({"aud": "another"}, "audience"),
        ({"aud": None}, "not valid"),
        ({"sub": None}, "not valid"),
        ({"sub": 5}, "not valid"),
        ({"scp": 5}, "not valid"),
    ],
)
def test_claims_that_are_not_right_are_refused(access: Access, changed: dict[str, Any], reason: str) -> None:
    payload = claims(**changed)
    token = jwt.PyJWS().encode(json.dumps(payload).encode(), RSA, "RS256").encode()
    with pytest.raises(UnauthenticatedError, match=reason) as refused:
        access.admit(bearer(token), HERE, "predict")
    assert 'error="invalid_token"' in refused.value.headers["www-authenticate"]


def test_clocks_may_differ_by_the_leeway(anywhere: Open) -> None:
    late = signed(exp=int(time.time()) - 10)
    anywhere().admit(bearer(late), HERE, "predict")
    with pytest.raises(UnauthenticatedError):
        anywhere(LEEWAY="0").admit(bearer(late), HERE, "predict")


def test_a_token_that_asks_for_extensions_is_refused(access: Access) -> None:
    with pytest.raises(UnauthenticatedError):
        access.admit(bearer(signed(headers={"crit": ["b64"], "b64": False})), HERE, "predict")


@pytest.mark.parametrize(
    ("given", "scopes"),
    [
        ({"scope": "predict explain"}, {"predict", "explain"}),
        ({"scope": None, "scp": ["explain", "predict", 5]}, {"predict", "explain"}),
        ({"scope": None, "scp": "predict admin other"}, {"predict", "admin"}),
        ({"scope": "predict", "scp": ["admin"]}, {"predict", "admin"}),
    ],
)
def test_scopes_come_from_scope_and_scp(anywhere: Open, given: dict[str, Any], scopes: set[str]) -> None:
    assert anywhere().admit(bearer(signed(**given)), HERE, "predict").scopes == scopes


def test_a_token_without_our_scopes_may_nothing(access: Access) -> None:
    for scope in ("openid", "predictor", "PREDICT", ""):
        with pytest.raises(ForbiddenError):
            access.admit(bearer(signed(scope=scope)), HERE, "predict")


def test_a_remembered_token_ends_when_it_ends(anywhere: Open) -> None:
    access = anywhere(LEEWAY="0")
    token = signed(exp=int(time.time()) + 2)
    access.admit(bearer(token), HERE, "predict")
    access.admit(bearer(token), HERE, "predict")
    time.sleep(2.1)
    with pytest.raises(UnauthenticatedError, match="expired"):
        access.admit(bearer(token), HERE, "predict")


def test_all_tokens_of_a_subject_share_its_rate(anywhere: Open) -> None:
    access = anywhere()
    for number in range(5):
        access.admit(bearer(signed(jti=str(number))), HERE, "predict")
    with pytest.raises(TooManyRequestsError):
        access.admit(bearer(signed(jti="last")), HERE, "predict")
    access.admit(bearer(signed(sub="another")), HERE, "predict")


def test_a_claim_may_name_the_caller_if_it_is_plain(anywhere: Open) -> None:
    access = anywhere(NAME_CLAIM="client_id")
    assert access.admit(bearer(signed(client_id="website")), HERE, "predict").name == "website"
    for odd in ("a\nb", "", "x" * 100, 5, None):
        assert access.admit(bearer(signed(client_id=odd, sub=f"{odd}")), HERE, "predict").name.startswith("jwt:")


def jwk(key: Any, **fields: str) -> dict[str, Any]:
    algorithms = {"RS256": jwt.algorithms.RSAAlgorithm, "ES256": jwt.algorithms.ECAlgorithm}
    kind = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    return {**algorithms[kind].to_jwk(key.public_key(), as_dict=True), "key_ops": ["verify"], **fields}


def jwks(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def test_a_key_set_is_chosen_from_by_kid(anywhere: Open) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    elliptic, encryption = jwk(KINDS["ES256"], kid="c"), jwk(other, kid="d", use="enc")
    access = anywhere(jwks(jwk(RSA, kid="a"), jwk(other, kid="b", alg="RS256"), elliptic, encryption))
    access.admit(bearer(signed(headers={"kid": "a"})), HERE, "predict")
    access.admit(bearer(signed(other, headers={"kid": "b"}, sub="b")), HERE, "predict")
    for headers in ({"kid": "b"}, {"kid": "c"}, {"kid": "d"}, {"kid": "../../etc/passwd"}, {}):
        with pytest.raises(UnauthenticatedError):
            access.admit(bearer(signed(headers=headers)), HERE, "predict")


def test_renewed_keys_are_taken_over_and_old_tokens_forgotten(anywhere: Open) -> None:
    access = anywhere(jwks(jwk(RSA, kid="a")))
    old = bearer(signed(headers={"kid": "a"}))
    access.admit(old, HERE, "predict")
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert access.options.tokens is not None
    access.options.tokens.keys.write_bytes(jwks(jwk(other, kid="b")))
    time.sleep(INTERVAL_S + 0.05)
    access.refresh()
    access.admit(bearer(signed(other, headers={"kid": "b"})), HERE, "predict")
    with pytest.raises(UnauthenticatedError):
        access.admit(old, HERE, "predict")


@pytest.mark.parametrize(
    ("content", "algorithm", "says"),
    [
        (b"", "RS256", "no key"),
        (b"nonsense", "RS256", "no key"),
        (b"{", "RS256", "no JWKS"),
        (b'{"keys": 5}', "RS256", "no JWKS"),
        (b'{"keys": [5]}', "RS256", "no JWKS"),
        (b'{"keys": [{"kty": "RSA"}]}', "RS256", "no JWKS"),
        (b'{"keys": []}', "RS256", "no key for RS256"),
        (private_pem(RSA), "RS256", "private"),
        (jwks({**jwk(RSA), "d": "AQAB"}), "RS256", "private"),
        (jwks(jwk(RSA, kid="a"), jwk(RSA, kid="a")), "RS256", "kid"),
        (jwks(jwk(KINDS["ES256"])), "RS256", "no key for RS256"),
        (public_pem(KINDS["ES256"]), "RS256", "RSA key"),
        (public_pem(RSA), "ES256", "P-256"),
        (public_pem(ec.generate_private_key(ec.SECP384R1())), "ES256", "P-256"),
        (public_pem(KINDS["ES256"]), "EdDSA", "Ed25519"),
        (public_pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)), "RS256", "2048"),
        (b"short", "HS256", "32"),
    ],
)
def test_a_file_without_a_good_key_is_refused_at_the_start(
    tmp_path: Path, content: bytes, algorithm: str, says: str
) -> None:
    (tmp_path / "keys").write_bytes(content)
    (tmp_path / "keys").chmod(0o600)
    with pytest.raises(UserError) as refused:
        TokenKeys.read(tmp_path / "keys", algorithm, "CHURN_JWT_KEYS")
    assert says in str(refused.value)
    assert refused.value.where == "CHURN_JWT_KEYS"


def test_a_secret_that_everybody_may_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(os.urandom(32).hex().encode())
    (tmp_path / "secret").chmod(0o644)
    with pytest.raises(UserError, match="chmod 600"):
        TokenKeys.read(tmp_path / "secret", "HS256", "CHURN_JWT_KEYS")


def test_keys_and_tokens_live_side_by_side(door: Any, tmp_path: Path) -> None:
    key = door.key()
    (tmp_path / "public.pem").write_bytes(public_pem(RSA))
    given = {"KEYS": str(tmp_path / "public.pem"), "ALGORITHM": "RS256", "ISSUER": ISSUER, "AUDIENCE": AUDIENCE}
    access = door.access(**{f"JWT_{name}": value for name, value in given.items()})
    assert access.admit(bearer(key), HERE, "predict").kind == "key"
    assert access.admit(bearer(signed()), HERE, "predict").kind == "jwt"
    with pytest.raises(UnauthenticatedError):
        access.admit(Credentials(api_key=signed()), HERE, "predict")


def test_a_server_of_tokens_alone_knows_no_keys(access: Access, door: Any) -> None:
    with pytest.raises(UnauthenticatedError, match="tokens"):
        access.admit(Credentials(api_key=door.key()), HERE, "predict")


def test_no_token_and_no_subject_reaches_the_audit(anywhere: Open) -> None:
    access = anywhere()
    token = signed(scope="")
    for sent in (token, token[:-4] + b"AAAA", signed(sub="bob@example.com", exp=1)):
        with pytest.raises(RequestError):
            access.admit(bearer(sent), HERE, "predict")
    access.close()
    assert access.options.audit is not None
    written = access.options.audit.read_text()
    assert written.count("\n") == 3
    assert "example.com" not in written
    assert token.decode()[:20] not in written


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["alg", "kid", "typ", "crit", "jwk", "jku", "b64", "x5c"])
CLAIMS = st.sampled_from(["exp", "nbf", "iat", "sub", "iss", "aud", "scope", "scp", "jti"])


@settings(max_examples=300, deadline=None)
@given(header=st.dictionaries(NAMES, JSON), payload=st.dictionaries(CLAIMS, JSON), tail=st.binary(max_size=300))
def test_nothing_that_is_made_up_is_a_token(access: Access, header: Any, payload: Any, tail: bytes) -> None:
    for token in (forged({"alg": "RS256", **header}, payload, tail), forged(header, {**claims(), **payload}), tail):
        with pytest.raises(UnauthenticatedError):
            access.admit(bearer(token), HERE, "predict")


@settings(max_examples=200, deadline=None)
@given(payload=st.dictionaries(CLAIMS, JSON))
def test_whatever_a_provider_signs_is_a_caller_or_a_refusal(access: Access, payload: Any) -> None:
    content = json.dumps({**claims(), **payload}).encode()
    try:
        caller = access.admit(bearer(jwt.PyJWS().encode(content, RSA, "RS256").encode()), HERE, "predict")
    except RequestError:
        return
    assert caller.label == "jwt"
