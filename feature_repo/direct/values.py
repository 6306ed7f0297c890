"""Feast's values, decoded by hand into the graph's columns: their protobuf is a tag and one value, and no more."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Sequence
from operator import getitem, itemgetter
from typing import Any

import numpy as np

from churn.domain.bundle import Online
from churn.domain.contract import Contract
from churn.domain.errors import UserError
from churn.domain.parsing import EXACT
from feature_repo.direct.errors import BadValueError

Raw = bytes | None
"""A serialised value as a store holds it; None where it holds nothing."""

_TEXT, _INTEGER, _NUMBER = b"\x12", 0x20, 0x29  # string_val, int64_val and double_val with their wire types
_NULL: dict[Raw, float] = {None: math.nan, b"": math.nan, b"\x98\x01\x00": math.nan}  # absent, unset, null_val
_NAN = b"\x29" + struct.pack("<d", math.nan)
_SECONDS, _NANOS = 0x08, 0x10
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
        numbers = [place for place, kind in enumerate(kinds) if kind == "double"]
        others = [place for place, kind in enumerate(kinds) if kind != "double"]
        self._numbers, self._others = _picker(numbers), _picker(others)
        self._other_tables = [self._tables[place] for place in others]
        self._order = _picker(np.argsort([*others, *numbers]).tolist())
        self._doubles = struct.Struct("<" + "xd" * len(numbers))
        self._tags = bytes([_NUMBER]) * len(numbers)

    def row(self, raw: Sequence[Raw]) -> Sequence[float]:
        """A customer's columns (k) of as many raw values; what `raw` holds beyond them is not looked at.

        Raises BadValueError for row 0."""
        try:
            numbers = b"".join([value or _NAN for value in self._numbers(raw)])
            if len(numbers) != self._doubles.size or numbers[::9] != self._tags:
                return self._one_by_one(raw)
            others = map(getitem, self._other_tables, self._others(raw))
            return self._order((*others, *self._doubles.unpack(numbers)))
        except (_UnusableError, TypeError):
            return self._one_by_one(raw)

    def _one_by_one(self, raw: Sequence[Raw]) -> Sequence[float]:
        """The same without the numbers' being taken all at once: for what is not as usual."""
        try:
            return [table[value] for table, value in zip(self._tables, raw, strict=False)]
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


class Timestamps(dict[Raw, float]):
    """Epoch seconds of serialised protobuf Timestamps, to the microsecond; NaN where there is none, or 1970, as Feast
    has it. Remembered, since customers share them. Raises ValueError for what is none."""

    def __missing__(self, raw: Raw) -> float:
        parts = {_SECONDS: 0, _NANOS: 0}
        position = 0
        try:
            while raw and position < len(raw):
                tag = raw[position]
                parts[tag], position = varint(raw, position + 1)
        except _UnusableError:
            raise ValueError("no timestamp") from None
        if len(parts) > 2:
            raise ValueError("no timestamp")
        seen = (parts[_SECONDS] * 1_000_000 + parts[_NANOS] // 1000) / 1e6 or math.nan
        if len(self) < _REMEMBERED:
            self[raw] = seen
        return seen


def _picker(places: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """Takes these places of a sequence."""
    if len(places) < 2:
        return lambda row: [row[place] for place in places]
    return itemgetter(*places)


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
