"""Ids as Feast's online stores spell them: the entity key, serialised, in front of whatever a store appends."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence

from churn.domain.bundle import Online
from churn.domain.errors import UserError
from feature_repo.direct.errors import BadIdError
from feature_repo.frozen import KEY_VERSION

_STRING, _INT64 = 2, 4  # feast.types.ValueType
_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)
_LENGTH = struct.Struct("<I")
_INTEGER_VALUE = struct.Struct("<Iq")


class Keys:
    """A layout's entity keys, each followed by `suffix`."""

    def __init__(self, online: Online, suffix: bytes = b"") -> None:
        """Raises UserError for a version of the encoding that is not known here."""
        if online.key_version != KEY_VERSION:
            problem = f"has entity keys of version {online.key_version}, this version reads {KEY_VERSION}"
            raise UserError(problem, where=f"view {online.view}", remedy="train again")
        name = online.key.encode()
        kind = _STRING if online.key_type == "string" else _INT64
        self._name = online.key
        self._prefix = struct.pack(f"<III{len(name)}sI", 1, _STRING, len(name), name, kind)
        self._suffix = suffix
        self._one = self._of_text if online.key_type == "string" else self._of_integer

    def encode(self, ids: Sequence[str | int]) -> list[bytes]:
        """The key of each id, in order. Raises BadIdError with the rows of all that are none."""
        try:
            return [self._one(given) for given in ids]
        except ValueError:
            rows = [row for row, given in enumerate(ids) if self._is_bad(given)]
            kind = "integer of 64 bits" if self._one == self._of_integer else "text"
            raise BadIdError(f"is no {kind}", self._name, "the ids of this model are such", rows) from None

    def decode(self, key: bytes) -> str | int:
        """The id in a key."""
        value = key[len(self._prefix) + 4 : len(key) - len(self._suffix)]
        return value.decode() if self._one == self._of_text else int.from_bytes(value, "little", signed=True)

    def _of_text(self, given: str | int) -> bytes:
        value = str(given).encode()
        return b"%b%b%b%b" % (self._prefix, _LENGTH.pack(len(value)), value, self._suffix)

    def _of_integer(self, given: str | int) -> bytes:
        if isinstance(given, str) and not _INTEGER.fullmatch(given):
            raise ValueError
        try:
            return b"%b%b%b" % (self._prefix, _INTEGER_VALUE.pack(8, int(given)), self._suffix)
        except struct.error:
            raise ValueError from None

    def _is_bad(self, given: str | int) -> bool:
        try:
            self._one(given)
        except ValueError:
            return True
        return False
