"""Feast's values, decoded by hand into the graph's columns: their protobuf is a tag and one value, and no more."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence

from churn.domain.bundle import Online
from churn.domain.contract import Contract
from churn.domain.errors import UserError
from churn.domain.parsing import EXACT
from feature_repo.direct.errors import BadValueError

Raw = bytes | None
"""A serialised value as a store holds it; None where it holds nothing."""

_TEXT, _INTEGER, _NUMBER = b"\x12", 0x20, 0x29  # string_val, int64_val and double_val with their wire types
_NULL: dict[Raw, float] = {None: math.nan, b"": math.nan, b"\x98\x01\x00": math.nan}  # absent, unset, null_val
_REMEMBERED = 4096
_DOUBLE = struct.Struct("<d")


class _UnusableError(Exception):
    """A value that is not the column's; the text says why."""


class _Integers(dict[Raw, float]):
    """Decoded once, then remembered: most integers of a table are few and small."""

    def __missing__(self, raw: bytes) -> float:
        value, rest = varint(raw, 1) if type(raw) is bytes and raw[0] == _INTEGER else (0, 0)
        if rest != len(raw):
            raise _UnusableError("holds no integer")
        if not -EXACT <= value <= EXACT:
            raise _UnusableError(f"holds an integer beyond {EXACT}")
        if len(self) < _REMEMBERED:
            self[raw] = float(value)
        return float(value)


class _Numbers(dict[Raw, float]):
    def __missing__(self, raw: bytes) -> float:
        if type(raw) is not bytes or len(raw) != 9 or raw[0] != _NUMBER:
            raise _UnusableError("holds no number")
        value: float = _DOUBLE.unpack_from(raw, 1)[0]
        return value


class _Categories(dict[Raw, float]):
    def __missing__(self, raw: bytes) -> float:
        if type(raw) is not bytes or not raw.startswith(_TEXT):
            raise _UnusableError("holds no category")
        _, start = varint(raw, 1)
        raise _UnusableError(f"unknown category '{raw[start:].decode(errors='replace')}'")


class Values:
    """Rows of raw values as rows of the graph's columns."""

    def __init__(self, contract: Contract, online: Online) -> None:
        """Raises UserError when the layout is not the contract's."""
        if len(online.columns) != len(contract.raw):
            raise UserError("names other columns than the contract", where=f"view {online.view}", remedy="train again")
        self._columns = contract.raw
        self.width = len(contract.raw)
        self.blank = [math.nan] * self.width
        self._labels = [contract.labels(name) for name in contract.raw]
        kinds = [column.type for column in online.columns]
        self._tables = [_table(kind, labels) for kind, labels in zip(kinds, self._labels, strict=True)]

    def row(self, raw: Sequence[Raw]) -> list[float]:
        """A customer's columns (k) of as many raw values; what `raw` holds beyond them is not looked at.

        Raises BadValueError for row 0."""
        try:
            return [table[value] for table, value in zip(self._tables, raw)]  # noqa: B905 - see above
        except _UnusableError:
            raise self._bad(raw) from None

    def _bad(self, raw: Sequence[Raw]) -> BadValueError:
        for name, labels, table, value in zip(self._columns, self._labels, self._tables, raw, strict=False):
            try:
                _ = table[value]
            except _UnusableError as error:
                remedy = f"known: {', '.join(labels)}" if labels else "materialise it again"
                return BadValueError(str(error), f"column {name}", remedy)
        raise AssertionError("every value is usable")


def varint(raw: bytes, start: int) -> tuple[int, int]:
    """The signed 64-bit integer that begins at `start`, and where it ends. Raises _UnusableError when it does not."""
    value = 0
    for position in range(start, min(start + 10, len(raw))):
        value |= (raw[position] & 0x7F) << (7 * (position - start))
        if raw[position] < 0x80:
            return (value & (2**64 - 1) ^ 2**63) - 2**63, position + 1
    raise _UnusableError("holds no integer")


def timestamp(raw: Raw) -> float:
    """Epoch seconds of a serialised protobuf Timestamp, to the microsecond; NaN where there is none (or 1970, as Feast
    has it). Raises ValueError when it is none."""
    parts = {0x08: 0, 0x10: 0}
    position = 0
    try:
        while raw and position < len(raw):
            tag = raw[position]
            parts[tag], position = varint(raw, position + 1)
    except _UnusableError:
        raise ValueError("no timestamp") from None
    if len(parts) > 2:
        raise ValueError("no timestamp")
    return (parts[0x08] * 1_000_000 + parts[0x10] // 1000) / 1e6 or math.nan


def _table(kind: str, labels: Iterable[str] | None) -> dict[Raw, float]:
    if kind == "int64":
        return _Integers(_NULL)
    if kind == "double":
        return _Numbers(_NULL)
    return _Categories(_NULL | {_text(label): float(code) for code, label in enumerate(labels or ())})


def _text(label: str) -> bytes:
    value, length, size = label.encode(), b"", len(label.encode())
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return _TEXT + length + bytes([size]) + value
