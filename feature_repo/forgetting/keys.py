"""Entity keys as Feast writes them, read without knowing what for; and the values that stand behind them."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from churn.stores.privacy.customer import Customer

_STRING, _INT64 = 2, 4  # feast.types.ValueType


class EntityKey(NamedTuple):
    """A serialised entity key, read: the bytes before the length of its value, the value's type, and where it ends."""

    prefix: bytes
    kind: int
    value: bytes
    end: int


def parsed(key: bytes) -> EntityKey | None:
    """An entity key of one join key (Feast's version 3), with whatever follows it; None for other bytes."""
    try:
        count, kind, length = struct.unpack_from("<III", key)
        start = 12 + length
        value_kind, size = struct.unpack_from("<II", key, start)
    except struct.error:
        return None
    end = start + 8 + size
    if (count, kind) != (1, _STRING) or value_kind not in {_STRING, _INT64} or end > len(key):
        return None
    return EntityKey(key[: start + 4], value_kind, key[start + 8 : end], end)


def keys_like(sample: EntityKey, customer: Customer) -> list[bytes]:
    """The keys that the customer may have where others are like the `sample`."""
    values = (value for kind, value in values_of(customer) if kind == sample.kind)
    return [sample.prefix + struct.pack("<I", len(value)) + value for value in values]


def values_of(customer: Customer) -> list[tuple[int, bytes]]:
    """What keys may call the customer, with the type of the key, as Feast writes both."""
    texts = [(_STRING, text.encode()) for text in customer.texts]
    return [*texts, *((_INT64, struct.pack("<q", number)) for number in customer.integers)]


def described(values: Iterable[tuple[str, Any]], seen: Any) -> dict[str, Any]:
    """A customer's values by feature, and when they were true (epoch seconds, or a time)."""
    known = isinstance(seen, int | float) and not math.isnan(seen)
    at = datetime.fromtimestamp(seen, UTC) if known else seen
    return {"event_timestamp": at, **{name: _plain(bytes(value)) for name, value in values}}


def _plain(raw: bytes) -> float | str | None:
    """The value in one of Feast's protobufs; None for null, and for what no contract of ours has."""
    match raw[:1]:
        case b"\x12":
            return raw[_varint(raw, 1)[1] :].decode(errors="replace")
        case b"\x20":
            return _varint(raw, 1)[0]
        case b"\x29":
            value: float = struct.unpack_from("<d", raw, 1)[0]
            return value
    return None


def _varint(raw: bytes, start: int) -> tuple[int, int]:
    """The signed 64-bit integer that begins at `start`, and where it ends."""
    value, position = 0, start
    while position < len(raw):
        value |= (raw[position] & 0x7F) << (7 * (position - start))
        position += 1
        if raw[position - 1] < 0x80:
            break
    return (value & (2**64 - 1) ^ 2**63) - 2**63, position
