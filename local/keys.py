"""API keys for people who give them out: made, listed, revoked, in the file that the predictor follows."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import yaml
from rich.table import Table

from churn.domain.errors import UserError
from churn.stores.files import locked, publish, staged
from serving.access import keys
from serving.access.caller import SCOPES, Scope
from serving.access.keys import KeyEntry
from serving.access.limits import Rate
from serving.access.networks import Networks

_HEAD = "# API keys of the predictor: hashes, no secrets. Written by `churn keys`; comments are not kept.\n"
_OTHERS = 0o007


class Wanted(msgspec.Struct, frozen=True):
    """A key as it was asked for. `expires` is a date or a time in ISO 8601, `rate` as in `100/s`."""

    name: str
    scopes: list[str]
    rate: str = ""
    networks: list[str] = []
    expires: str = ""
    bulk: bool = False


class Made(msgspec.Struct, frozen=True):
    """A new key: `key` is told this once."""

    id: str
    name: str
    key: str
    file: str


def default_file(env: dict[str, str], home: Path) -> Path:
    """The file that the predictor is told to read, or one in the home."""
    return Path(env["CHURN_API_KEYS"]).expanduser().absolute() if env.get("CHURN_API_KEYS") else home / "keys.yaml"


def create(path: Path, wanted: Wanted) -> Made:
    """Makes a key and adds its hash to the file, which is made with mode 600. Raises UserError for what cannot be."""
    identity, key, digest = keys.make()
    entry = KeyEntry(
        id=identity,
        name=_name(wanted.name),
        hash=digest,
        scopes=_scopes(wanted.scopes),
        rate=wanted.rate,
        networks=wanted.networks,
        bulk=wanted.bulk,
        created=datetime.now(UTC).replace(microsecond=0),
        expires=_expiry(wanted.expires),
    )
    if wanted.rate:
        Rate.parse(wanted.rate, "--rate")
    Networks.parse(wanted.networks, "--network")
    with _changing(path):
        found = listed(path)
        if len(found) >= keys.MOST:
            raise UserError(f"there are {len(found)} keys already", where=str(path), remedy="revoke some")
        _write(path, [*found, entry])
    return Made(id=identity, name=entry.name, key=key, file=str(path))


def listed(path: Path) -> list[KeyEntry]:
    """The keys of the file, none when there is no file. Raises UserError when it is not one."""
    return keys.entries(path) if path.exists() else []


def revoke(path: Path, which: str) -> KeyEntry:
    """Takes a key out of the file, by its id or, when only one has it, by its name. Raises UserError."""
    with _changing(path):
        found = listed(path)
        meant = [entry for entry in found if which in (entry.id, entry.name)]
        if not meant:
            raise UserError(f"no key has the id or name '{which}'", where=str(path), remedy="churn keys list")
        if len(meant) > 1:
            several = ", ".join(entry.id for entry in meant)
            raise UserError(f"several keys are named '{which}'", where=str(path), remedy=f"give an id: {several}")
        _write(path, [entry for entry in found if entry is not meant[0]])
    return meant[0]


def shown(found: list[KeyEntry]) -> list[dict[str, Any]]:
    """The keys without their hashes."""
    return [{name: value for name, value in _plain(entry).items() if name != "hash"} for entry in found]


def table(found: list[KeyEntry]) -> Table:
    """The keys as a table."""
    drawn = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("id", "name", "scopes", "rate", "networks", "created", "expires"):
        drawn.add_column(name, overflow="fold", no_wrap=name in ("id", "name"))  # both name a key: never cut short
    for entry in found:
        drawn.add_row(
            entry.id,
            entry.name,
            " ".join(entry.scopes),
            entry.rate,
            " ".join(entry.networks),
            f"{entry.created:%Y-%m-%d}" if entry.created else "",
            _until(entry.expires),
        )
    return drawn


def _until(expires: datetime | None) -> str:
    if expires is None:
        return ""
    return f"{expires:%Y-%m-%d %H:%M} UTC{' (expired)' if expires < datetime.now(UTC) else ''}"


@contextmanager
def _changing(path: Path) -> Iterator[None]:
    """Alone with the file: two people who make keys at once lose none."""
    try:
        with locked(path.with_name(f".{path.name}.lock")):
            yield
    except OSError as error:
        problem = f"cannot be written: {error.strerror}"
        raise UserError(problem, where=str(path), remedy="give another --file") from error


def _write(path: Path, entries: list[KeyEntry]) -> None:
    """Atomically. A file that its owner opened to a group stays so; nobody else ever reads it."""
    document = {"keys": [_plain(entry) for entry in entries]}
    if path.suffix == ".json":
        content = msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
    else:
        content = (_HEAD + yaml.safe_dump(document, sort_keys=False, width=200)).encode()
    mode = path.stat().st_mode & 0o777 & ~_OTHERS if path.exists() else 0o600
    with staged(path.parent / ".staging") as temporary:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        temporary.chmod(mode)
        publish(temporary, path)


def _plain(entry: KeyEntry) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(entry)
    return plain


def _name(name: str) -> str:
    if not keys.NAME.fullmatch(name) or name in keys.RESERVED:
        remedy = "a name has small letters, digits and hyphens, 40 at most; it is shown in metrics and in the audit"
        raise UserError(f"'{name}' cannot be the name of a key", where="NAME", remedy=remedy)
    return name


def _scopes(given: list[str]) -> list[Scope]:
    unknown = [scope for scope in given if scope not in SCOPES]
    if unknown or not given:
        problem = f"'{unknown[0]}' is no scope" if unknown else "a key needs a scope"
        raise UserError(
            problem, where="--scope", remedy=f"there are {', '.join(SCOPES)}; give the option several times"
        )
    return [scope for scope in SCOPES if scope in given]


def _expiry(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"'{text}' is no date", where="--expires", remedy="write 2027-12-31") from error
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):  # the whole of that day
        moment = moment.replace(hour=23, minute=59, second=59)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment <= datetime.now(UTC):
        raise UserError(f"{text} is over", where="--expires", remedy="give a later one")
    return moment.astimezone(UTC)
