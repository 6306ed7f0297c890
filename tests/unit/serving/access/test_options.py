from __future__ import annotations

import logging
from pathlib import Path

import pytest

from churn.domain.errors import UserError
from serving.access import headers
from serving.access.limits import Rate
from serving.access.options import AccessOptions, is_loopback

JWT = {
    "CHURN_JWT_KEYS": "keys.pem",
    "CHURN_JWT_ALGORITHM": "RS256",
    "CHURN_JWT_ISSUER": "https://id.example",
    "CHURN_JWT_AUDIENCE": "churn",
}


def test_nothing_set_is_open_on_this_machine_and_nowhere_else() -> None:
    options = AccessOptions.load({})
    assert not options.closed
    for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost", "::ffff:127.0.0.1"):
        options.require_safe(host, tls=False)
    for host in ("0.0.0.0", "::", "", "10.0.0.1", "predictor", "localhost.example"):
        with pytest.raises(UserError, match="CHURN_ALLOW_ANONYMOUS=true"):
            options.require_safe(host, tls=True)


def test_anonymous_callers_everywhere_have_to_be_asked_for() -> None:
    AccessOptions.load({"CHURN_ALLOW_ANONYMOUS": "true"}).require_safe("0.0.0.0", tls=False)


def test_keys_in_the_clear_are_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    options = AccessOptions.load({"CHURN_API_KEYS": "keys.yaml"})
    with caplog.at_level(logging.WARNING):
        options.require_safe("0.0.0.0", tls=True)
        options.require_safe("127.0.0.1", tls=False)
        assert not caplog.records
        options.require_safe("0.0.0.0", tls=False)
    assert "in the clear" in caplog.text


@pytest.mark.parametrize(
    ("env", "names"),
    [
        ({"CHURN_ALLOW_ANONYMOUS": "yes"}, "CHURN_ALLOW_ANONYMOUS"),
        ({"CHURN_ALLOW_ANONYMOUS": "true", "CHURN_API_KEYS": "k"}, "CHURN_ALLOW_ANONYMOUS"),
        ({"CHURN_RATE_LIMIT": "many"}, "CHURN_RATE_LIMIT"),
        ({"CHURN_ALLOWED_NETWORKS": "10.0.0.0/8,office"}, "CHURN_ALLOWED_NETWORKS"),
        ({"CHURN_ALLOWED_NETWORKS": " , "}, "CHURN_ALLOWED_NETWORKS"),
        ({"CHURN_TRUSTED_PROXIES": "ingress"}, "CHURN_TRUSTED_PROXIES"),
        ({"CHURN_TRUSTED_PROXIES": ","}, "CHURN_TRUSTED_PROXIES"),
        ({"CHURN_AUDIT_ADDRESSES": "hashed"}, "CHURN_AUDIT_ADDRESSES"),
        ({"CHURN_JWT_ISSUER": "https://id.example"}, "CHURN_JWT_KEYS"),
        ({**JWT, "CHURN_JWT_AUDIENCE": ""}, "CHURN_JWT_AUDIENCE"),
        ({**JWT, "CHURN_JWT_ALGORITHM": "none"}, "CHURN_JWT_ALGORITHM"),
        ({**JWT, "CHURN_JWT_ALGORITHM": "RS256,HS256"}, "CHURN_JWT_ALGORITHM"),
        ({**JWT, "CHURN_JWT_LEEWAY": "301"}, "CHURN_JWT_LEEWAY"),
        ({**JWT, "CHURN_JWT_LEEWAY": "-1"}, "CHURN_JWT_LEEWAY"),
        ({**JWT, "CHURN_JWT_NAME_CLAIM": "a b"}, "CHURN_JWT_NAME_CLAIM"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(env: dict[str, str], names: str) -> None:
    with pytest.raises(UserError) as refused:
        AccessOptions.load(env)
    assert refused.value.where == names
    assert refused.value.remedy


def test_all_of_it_is_read() -> None:
    options = AccessOptions.load(
        {
            **JWT,
            "CHURN_RATE_LIMIT": "100/s",
            "CHURN_ALLOWED_NETWORKS": " 10.0.0.0/8, 2001:db8::/32 ,",
            "CHURN_TRUSTED_PROXIES": "10.0.0.5",
            "CHURN_AUDIT_FILE": "/var/log/audit.log",
            "CHURN_AUDIT_ADDRESSES": "full",
        }
    )
    assert options.rate == Rate(100, 1)
    assert options.networks is not None
    assert len(options.networks.networks) == 2
    assert options.audit == Path("/var/log/audit.log")
    assert options.tokens is not None
    assert options.tokens.leeway == 30
    assert options.closed


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_is_told_from_the_rest(host: str) -> None:
    assert is_loopback(host)


def test_every_answer_has_the_security_headers() -> None:
    plain, safe = dict(headers.security_headers(tls=False)), dict(headers.security_headers(tls=True))
    assert plain[b"x-content-type-options"] == b"nosniff"
    assert plain[b"cache-control"] == b"no-store"
    assert b"strict-transport-security" not in plain
    assert b"strict-transport-security" in safe
    docs = dict(headers.security_headers(tls=True, docs=True))
    assert docs.keys() == safe.keys()
    assert b"unsafe-eval" not in docs[b"content-security-policy"]
    assert b"script-src 'self'" in docs[b"content-security-policy"]
    assert all(name == name.lower() for name in docs)
