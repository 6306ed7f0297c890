"""Headers that every HTTP answer carries, as ASGI wants them."""

from __future__ import annotations

Headers = tuple[tuple[bytes, bytes], ...]

SECURITY: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""For answers that no browser should run, frame, sniff or keep: all but the documentation."""

HSTS: Headers = ((b"strict-transport-security", b"max-age=31536000"),)
"""A year, for this host alone: what other hosts of the domain do is not known here."""

SECURITY_TLS: Headers = SECURITY + HSTS

_DOCS_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

DOCS: Headers = tuple((name, _DOCS_POLICY if name == b"content-security-policy" else value) for name, value in SECURITY)
"""For `/docs`: a page of our own with scripts and styles from this server, and nothing from elsewhere."""

DOCS_TLS: Headers = DOCS + HSTS


def security_headers(*, tls: bool, docs: bool = False) -> Headers:
    """The constant tuple for a server with or without TLS."""
    if docs:
        return DOCS_TLS if tls else DOCS
    return SECURITY_TLS if tls else SECURITY
