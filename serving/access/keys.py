"""API keys: how one looks, how one is made, the file that holds their hashes, and finding one again.

A key is `<id>.<secret>`: an id that may be shown, and 256 random bits in base64url that are never stored. The file
holds the SHA-256 of the whole key. A slow hash would protect passwords that people choose; nothing of this length can
be guessed, so a fast one is right. Nobody chooses a secret: a key of another length, or of few different characters,
is refused whatever the file says."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import stat
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec

from churn.domain import strict_yaml
from churn.domain.errors import UserError
from serving.access.caller import Scope, unauthenticated
from serving.access.following import read_file
from serving.access.limits import Rate
from serving.access.networks import Networks

PREFIX = "ck_"
"""Lets people and secret scanners tell a key when they see one."""

ID = re.compile(rf"{PREFIX}[0-9a-f]{{12}}")
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
RESERVED = ("jwt", "anonymous")
MOST = 1000
"""Keys in one file: their names are labels of metrics."""

_ID_LENGTH, _SECRET_LENGTH, _DISTINCT = len(PREFIX) + 12, 43, 16
_LENGTH = _ID_LENGTH + 1 + _SECRET_LENGTH
_PREFIX, _DOT = PREFIX.encode(), b"."
_NOBODY = hashlib.sha256(b"nobody").digest()


class KeyEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One key as the file has it. Several keys may have one name, so that a caller can change to a new one.

    `rate` is `100/s`, `6000/m` or `100000/h` in rows; `networks` are CIDRs; `bulk` says that reading many customers
    is what this key is for."""

    id: Annotated[str, msgspec.Meta(pattern=rf"^{ID.pattern}\Z")]
    name: Annotated[str, msgspec.Meta(pattern=rf"^{NAME.pattern}\Z")]
    hash: Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}\Z")]
    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1)]
    rate: str = ""
    networks: list[str] = []
    bulk: bool = False
    created: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    expires: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class KeysDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys file."""

    keys: Annotated[list[KeyEntry], msgspec.Meta(max_length=MOST)]


class Key(msgspec.Struct, frozen=True, eq=False):
    """One key, ready to be compared with. `expires` is in seconds since the epoch."""

    id: str
    name: str
    digest: bytes
    scopes: frozenset[Scope]
    rate: Rate | None
    networks: Networks | None
    bulk: bool
    expires: float

    def __repr__(self) -> str:
        return f"Key({self.id})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("id", self.id)]


class Keys:
    """The keys of one file."""

    def __init__(self, keys: list[Key]) -> None:
        self.by_id = {key.id.encode(): key for key in keys}
        self._random: set[str] = set()

    @classmethod
    def read(cls, path: Path, where: str) -> Keys:
        """Raises UserError naming the file, the place in it and what to do."""
        return cls([_ready(entry, f"{path}: keys[{number}]") for number, entry in enumerate(entries(path, where))])

    def find(self, presented: bytes, now: float) -> Key:
        """The key that was presented; `now` is seconds since the epoch. Raises Refused.

        An id that nobody has takes the same work as one with a wrong secret, and gets the same answer."""
        if len(presented) != _LENGTH or presented[_ID_LENGTH : _ID_LENGTH + 1] != _DOT:
            raise unauthenticated("malformed_key", "this is no API key")
        key = self.by_id.get(presented[:_ID_LENGTH])
        digest = hashlib.sha256(presented).digest()
        if not hmac.compare_digest(digest, key.digest if key else _NOBODY) or key is None:
            known, identity = ("wrong_secret", key.id) if key else ("unknown_key", _shown(presented))
            raise unauthenticated(known, "the API key is not known", identity=identity)
        if key.id not in self._random:  # looked at once: what matches the hash is always the same secret
            if len(set(presented[_ID_LENGTH + 1 :])) < _DISTINCT:
                raise unauthenticated("weak_key", "the API key is not known", identity=key.id, name=key.name)
            self._random.add(key.id)
        if key.expires < now:
            raise unauthenticated("expired_key", "the API key has expired", identity=key.id, name=key.name)
        return key


def is_key(presented: bytes) -> bool:
    """Whether a bearer token is meant to be a key."""
    return presented.startswith(_PREFIX)


def make() -> tuple[str, str, str]:
    """A new key: its id, the whole key, and the hash for the file."""
    identity = PREFIX + secrets.token_hex(6)
    key = f"{identity}.{secrets.token_urlsafe(32)}"
    return identity, key, f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def entries(path: Path, where: str = "") -> list[KeyEntry]:
    """What the file holds, checked. Raises UserError naming `where`, a setting, when it cannot be read."""
    content = read_file(path, where)
    if path.stat().st_mode & stat.S_IWOTH:
        raise UserError("everybody may write to it", where=str(path), remedy=f"chmod 600 {path}")
    document = _document(content, path)
    found = document.keys
    for number, entry in enumerate(found):
        if entry.name in RESERVED:
            raise UserError(f"'{entry.name}' is taken", where=f"{path}: keys[{number}].name", remedy="choose another")
    if len({entry.id for entry in found}) < len(found):
        raise UserError("an id stands twice", where=str(path), remedy="churn keys list")
    return found


def _document(content: bytes, path: Path) -> KeysDocument:
    try:
        parsed: Any = strict_yaml.parse(content.decode(), str(path)) if path.suffix != ".json" else None
        if path.suffix == ".json":
            return msgspec.json.decode(content, type=KeysDocument)
        return msgspec.convert(parsed, KeysDocument)
    except UnicodeDecodeError as error:
        raise UserError("is not UTF-8", where=str(path)) from error
    except msgspec.MsgspecError as error:
        raise UserError(f"{error}", where=str(path), remedy="make keys with: churn keys create") from error


def _ready(entry: KeyEntry, where: str) -> Key:
    return Key(
        id=entry.id,
        name=entry.name,
        digest=bytes.fromhex(entry.hash.removeprefix("sha256:")),
        scopes=frozenset(entry.scopes),
        rate=Rate.parse(entry.rate, f"{where}.rate") if entry.rate else None,
        networks=Networks.parse(entry.networks, f"{where}.networks") if entry.networks else None,
        bulk=entry.bulk,
        expires=entry.expires.timestamp() if entry.expires else float("inf"),
    )


def _shown(presented: bytes) -> str:
    """The id of an unknown key, if it is one at all: what else stands there might be a secret."""
    text = presented[:_ID_LENGTH].decode("latin-1")
    return text if ID.fullmatch(text) else ""
