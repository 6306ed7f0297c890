"""Addresses as people write them, checked and brought into one form; and as they may be shown."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from churn.domain.errors import UserError

_PASSWORD = re.compile(r"(://[^:@/\s]*):(\S*)@")
_PASSWORD_FIELD = re.compile(r"((?:password|sslpassword)=)[^&\s]+", re.IGNORECASE)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def redacted(text: str) -> str:
    """`text` with the passwords in its URLs replaced by ***."""
    return _PASSWORD_FIELD.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))


def is_s3(address: str) -> bool:
    """Whether an address lies on S3 (otherwise it is a path)."""
    return address.startswith("s3://")


def split_s3(address: str, name: str = "") -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`; the key may be empty. Raises UserError for a bucket that cannot be."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    if not is_s3(address) or not _BUCKET.fullmatch(bucket):
        raise UserError(f"'{address}' names no bucket", where=name, remedy="write s3://bucket/prefix")
    return bucket, key.strip("/")


def folder(name: str, value: str) -> Path:
    """An absolute path; `~` and relative parts are resolved."""
    if "://" in value:
        raise UserError(f"'{redacted(value)}' is no folder of this machine", where=name, remedy="write a plain path")
    return Path(value).expanduser().resolve()


def store(name: str, value: str) -> str:
    """An absolute folder, or `s3://bucket/prefix`."""
    if is_s3(value):
        return "s3://" + "/".join(split_s3(value, name)).rstrip("/")
    return str(folder(name, value))


def url(name: str, value: str, schemes: tuple[str, ...]) -> str:
    """A URL of one of these schemes. The path of a SQLite one is made absolute, `postgres` becomes `postgresql`."""
    scheme, separator, rest = value.partition("://")
    scheme = "postgresql" if scheme == "postgres" else scheme
    if not separator or not rest or scheme not in schemes:
        known = ", ".join(f"{known}://" for known in schemes)
        raise UserError(f"'{redacted(value)}' is no address of a known kind", where=name, remedy=f"known are {known}")
    if scheme == "sqlite":
        return f"sqlite:///{folder(name, rest.removeprefix('/'))}"
    _check_server(name, value)
    return f"{scheme}://{rest}"


def file_or_url(name: str, value: str, schemes: tuple[str, ...]) -> str:
    """An absolute path, or a URL of one of these schemes."""
    return url(name, value, (*schemes, "postgres")) if "://" in value else str(folder(name, value))


def endpoint(name: str, value: str) -> str:
    """`http(s)://host[:port]` or nothing."""
    if not value:
        return ""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or "@" in parts.netloc:
        raise UserError(f"'{redacted(value)}' is no endpoint", where=name, remedy="write http://host:port")
    _check_server(name, value)
    return f"{parts.scheme}://{parts.netloc}"


def sqlite_file(address: str) -> Path | None:
    """The file behind a `sqlite:///` URL; None for another."""
    return Path(address.removeprefix("sqlite:///")) if address.startswith("sqlite:///") else None


def _check_server(name: str, value: str) -> None:
    """Refuses what drivers would take for a host or a port, and quote, although it is a part of the password."""
    password = _PASSWORD.search(value)
    if password and set(password[2]) & set("/?#@"):
        remedy = "percent-encode the special characters of the password"
        raise UserError(f"'{redacted(value)}' is ambiguous", where=name, remedy=remedy)
    try:
        _ = urlsplit(value).port
    except ValueError as error:
        raise UserError(f"the port in '{redacted(value)}' is no number", where=name) from error
