"""Customers under another name: the log holds keyed hashes, never ids."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from churn.domain.errors import UserError
from churn.stores.files import sync
from churn.stores.prediction_log.records import ID_BYTES

_PURPOSE, _TOLD = b"churn/log/1", b"churn/log/key/1"
_SHORTEST, _LONGEST = 32, 64


class Pseudonyms:
    """Pseudonyms by BLAKE2b under a secret key. Whoever holds the key can find a customer's rows; nobody else can.

    `fingerprint` tells keys apart, and nothing else of them."""

    def __init__(self, key: bytes) -> None:
        self.fingerprint = hashlib.blake2b(key=key, digest_size=ID_BYTES, person=_TOLD).digest()
        self._state = hashlib.blake2b(key=key, digest_size=ID_BYTES, person=_PURPOSE)

    @classmethod
    def load(cls, path: Path) -> Pseudonyms:
        """The key in a file, which is made when there is none; processes that start at once agree on one.

        Raises UserError for a file that cannot be read or made, that everybody may read or write, or that holds no key
        of 32 to 64 characters."""
        try:
            if not path.exists():
                _make(path)
            key, mode = path.read_bytes().strip(), path.stat().st_mode
        except OSError as error:
            raise UserError(f"no key can be kept there: {error.strerror}", where=str(path)) from error
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            remedy = f"chmod 600 {path}; for a mounted Secret: defaultMode 0440, and an fsGroup"
            raise UserError("everybody may read or write it", where=str(path), remedy=remedy)
        if not _SHORTEST <= len(key) <= _LONGEST:
            remedy = f"{_SHORTEST} to {_LONGEST} characters of it, as from: openssl rand -hex 32"
            raise UserError("holds no key", where=str(path), remedy=remedy)
        return cls(key)

    def pseudonym(self, customer: str) -> bytes:
        """16 bytes, always the same for the same customer and key."""
        state = self._state.copy()
        state.update(customer.encode("utf-8", "surrogatepass"))
        return state.digest()

    def pseudonyms(self, customers: Iterable[str | None]) -> list[bytes | None]:
        """One for each customer; None stays None."""
        return [None if customer is None else self.pseudonym(customer) for customer in customers]


def entity_key(pseudonym: bytes, *, integer: bool) -> str | int:
    """A pseudonym as an entity key, where rows of the log are a training set: 32 hex digits, or 63 bits of it."""
    return int.from_bytes(pseudonym[:8], "big") >> 1 if integer else pseudonym.hex()


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
        sync(temporary)
        with suppress(FileExistsError):  # another process was first: its key counts
            os.link(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
