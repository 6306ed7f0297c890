"""The quick way to the graph's columns, for requests that are plainly fine.

A contract is compiled once into one reader a column. What a reader does not know at sight (a number as text, blanks, a
value out of range, a field too many) is not judged here: `None` sends the request to `checking`, which parses and
checks it as training tables are parsed and checked, and names every fault. So a request is accepted here only when
`checking` gives the very same columns, which a test holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from churn.domain.contract import Column, Contract
from churn.domain.parsing import EXACT
from churn.domain.rules import LARGEST
from serving.asked import ABSENT, RANGES, WIDTHS, Tensor
from serving.fields import id_names, required

NAN = float("nan")
_EXACT_RANGES = {name: (max(low, -EXACT), min(high, EXACT)) for name, (low, high) in RANGES.items()}
"""Whole numbers of each datatype, as far as they are still told apart as floats."""

_FLOATS = {"FP16", "FP32", "FP64"}
_FIRST_MARK = 0x80
_BEYOND = 2**24

Key = str | int


@dataclass(slots=True)
class Columns:
    """Customers as the graph takes them: `keys` (n) where they were asked by id; `matrix` (n, k), null as NaN;
    `absent`, the positions of columns that are to come from the online store (of all customers alike)."""

    keys: Sequence[Key] | None
    matrix: npt.NDArray[np.float64]
    absent: Sequence[int]


class Plain:
    """A contract's readers. Threads may share one."""

    def __init__(self, contract: Contract) -> None:
        self._readers = {
            name: _Reader.of(column, place) for place, (name, column) in enumerate(contract.columns.items())
        }
        readers = self._readers.values()
        self._names = contract.raw
        self._nullable = [one.nullable for one in readers]
        self._categories = [(one.place, one.codes) for one in readers if one.codes is not None]
        self._numbers = [(one.place, one.low, one.high, one.whole) for one in readers if one.codes is None]
        self.ids = id_names(contract)
        self._integer_key = contract.key is not None and contract.key.type == "integer"
        self._missing = frozenset(contract.validation.missing)

    def row(self, given: Mapping[str, Any]) -> Columns | None:
        """One customer as a mapping."""
        return self.rows([given])

    def rows(self, given: Sequence[Mapping[str, Any]]) -> Columns | None:
        """Customers as mappings; all by id with the same fields, or none by id."""
        keys: list[Key] = []
        matrix: list[list[float]] = []
        first: list[int] | None = None
        for one in given:
            values = [one.get(name, ABSENT) for name in self._names]
            absent = [place for place, value in enumerate(values) if value is ABSENT] if ABSENT in values else []
            named = len(one) - len(values) + len(absent)  # fields that are no column
            key = self._key_of(one) if named else None
            if named and (named > 1 or key is None):
                return None
            if named and key is not None:
                keys.append(key)
            if first is None:
                first = absent
            if not self._read(values, by_id=bool(named)) or (named and absent != first):
                return None
            matrix.append(values)
        if keys and len(keys) != len(matrix):
            return None
        return Columns(keys or None, np.array(matrix, np.float64), (first or ()) if keys else ())

    def _read(self, values: list[Any], *, by_id: bool) -> bool:
        """Turns the values of all columns into the graph's, in place; whether each of them is plainly fine."""
        if (None in values or ABSENT in values) and not self._blanked(values, by_id=by_id):
            return False
        for place, codes in self._categories:
            value = values[place]
            if value is not NAN:
                if type(value) is not str or value not in codes:
                    return False
                values[place] = codes[value]
        for place, low, high, whole in self._numbers:
            value = values[place]
            if value is NAN:
                continue
            kind = type(value)
            if (kind is not float and kind is not int) or not low <= value <= high:
                return False
            if whole:
                if kind is float and not value.is_integer():
                    return False
                values[place] = value + 0.0  # a whole number has no negative zero
        return True

    def _blanked(self, values: list[Any], *, by_id: bool) -> bool:
        """NAN for what is null or left out; whether it may be."""
        for place, value in enumerate(values):
            if value is None or value is ABSENT:
                if not self._nullable[place] and not (by_id and value is ABSENT):
                    return False
                values[place] = NAN
        return True

    def tensors(self, given: Sequence[Tensor], count: int) -> Columns | None:
        """`count` customers as one tensor for each field."""
        if count == 1:
            return self._single(given)
        keys: Sequence[Key] | None = None
        found: dict[int, npt.NDArray[np.float64]] = {}
        for tensor in given:
            reader = self._readers.get(tensor.name)
            if reader is None:
                if keys is not None or tensor.name not in self.ids:
                    return None
                keys = self._keys(tensor, count)
                if keys is None or len(keys) != count:
                    return None
                continue
            column = reader.column(tensor, count)
            if column is None or reader.place in found:  # stands twice
                return None
            found[reader.place] = column
        absent = [place for place in range(len(self._names)) if place not in found]
        if keys is None and not all(self._nullable[place] for place in absent):
            return None
        matrix = np.full((count, len(self._names)), np.nan)  # as many as there are: shapes may promise any number
        for place, column in found.items():
            matrix[:, place] = column
        return Columns(keys, matrix, absent if keys is not None else [])

    def _single(self, given: Sequence[Tensor]) -> Columns | None:
        values: dict[str, Any] = {}
        for tensor in given:
            value = tensor.single()
            if value is ABSENT or not _holds(tensor.datatype, value):
                return None
            values[tensor.name] = value
        return self.row(values) if len(values) == len(given) else None

    def _key_of(self, given: Mapping[str, Any]) -> Key | None:
        found = [given[name] for name in self.ids if name in given]
        return found[0] if len(found) == 1 and self._is_key(found[0]) else None

    def _is_key(self, value: object) -> bool:
        if self._integer_key:
            return type(value) is int and -(2**63) < value < 2**63
        return (
            type(value) is str
            and bool(value)
            and value[0].isalnum()
            and value[-1].isalnum()
            and value not in self._missing
        )

    def _keys(self, tensor: Tensor, count: int) -> Sequence[Key] | None:
        values = tensor.listed(count)
        if values is None or not all(self._is_key(value) and _holds(tensor.datatype, value) for value in values):
            return None
        return values


@dataclass(frozen=True)
class _Reader:
    """One column: a category's codes, or a number's bounds."""

    place: int
    codes: dict[str, float] | None
    marks: tuple[tuple[bytes, bytes], ...] | None
    unmark: npt.NDArray[np.float64]
    low: float
    high: float
    whole: bool
    nullable: bool

    @classmethod
    def of(cls, column: Column, place: int) -> _Reader:
        codes = _codes(column) if column.categories else None
        texts = codes or {}
        few = len(texts) <= 256 - _FIRST_MARK
        short = few and all(text.isascii() and "\0" not in text and len(text) < _FIRST_MARK for text in texts)
        marks = tuple((_framed(text), bytes([_FIRST_MARK + i])) for i, text in enumerate(texts))
        low, high = column.range or (None, None)
        most = EXACT - 1 if column.type == "integer" else LARGEST
        return cls(
            place=place,
            codes=codes,
            marks=marks if texts and short else None,
            unmark=np.array([0.0] * _FIRST_MARK + list(texts.values())),
            low=-most if low is None else max(-most, low),
            high=most if high is None else min(most, high),
            whole=column.type == "integer",
            nullable=not required(column),
        )

    def column(self, tensor: Tensor, count: int) -> npt.NDArray[np.float64] | None:
        """Values (count,) of a tensor."""
        if tensor.raw is not None:
            return self._codes_of(tensor.raw, count) if tensor.datatype == "BYTES" else self._numbers_of(tensor, count)
        data = tensor.data
        if data is None or len(data) != count:
            return None
        if self.codes is not None:
            return self._listed_codes(tensor.datatype, data)
        low, high = _EXACT_RANGES.get(tensor.datatype, (-LARGEST, LARGEST))
        types = set(map(type, data))
        allowed = {int} if tensor.datatype in RANGES else {int, float} if tensor.datatype in _FLOATS else set()
        if not types <= allowed:
            return None
        try:
            values = np.array(data, np.float64)
        except OverflowError:
            return None
        return self._judged(values) if low <= values.min() and values.max() <= high else None

    def _listed_codes(self, datatype: str, data: Sequence[Any]) -> npt.NDArray[np.float64] | None:
        if datatype != "BYTES" or self.codes is None:
            return None
        codes = self.codes
        try:
            return np.array([codes[value] for value in data])
        except (KeyError, TypeError):
            return None

    def _numbers_of(self, tensor: Tensor, count: int) -> npt.NDArray[np.float64] | None:
        width = WIDTHS.get(tensor.datatype)
        if width is None or width == "?" or self.codes is not None or tensor.raw is None:
            return None
        kind = np.dtype(width)
        if len(tensor.raw) != count * kind.itemsize:
            return None
        return self._judged(np.frombuffer(tensor.raw, kind).astype(np.float64))

    def _codes_of(self, raw: bytes, count: int) -> npt.NDArray[np.float64] | None:
        """Codes of texts that stand behind their lengths.

        Each known text becomes one byte that no ASCII has. What is left of any other has zeros in its length, which no
        code has; so `count` codes and nothing else are exactly the elements. Holds for ASCII without zeros of less than
        128 letters, in less than 16 MiB."""
        if self.marks is None or len(raw) >= _BEYOND or not raw.isascii():
            return None
        for framed, mark in self.marks:
            raw = raw.replace(framed, mark)
        if len(raw) != count:
            return None
        found = np.frombuffer(raw, np.uint8)
        return self.unmark[found] if found.min() >= _FIRST_MARK else None

    def _judged(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
        if not (values.min() >= self.low and values.max() <= self.high):  # false for NaN
            return None
        if not self.whole:
            return values
        return None if (np.floor(values) != values).any() else values + 0.0  # a whole number has no negative zero


def _codes(column: Column) -> dict[str, float]:
    """The code of each text that means a category, as `parsing` spells them."""
    codes = {label: float(code) for code, label in enumerate(column.categories)}
    spelled = {text: codes[meant] for text, meant in column.cleaning.spelling.items() if meant in codes}
    unknown = {text for text, meant in column.cleaning.spelling.items() if meant not in codes}
    return {text: code for text, code in (codes | spelled).items() if text == text.strip() and text not in unknown}


def _framed(text: str) -> bytes:
    content = text.encode()
    return len(content).to_bytes(4, "little") + content


def _holds(datatype: str, value: object) -> bool:
    """Whether a tensor of this datatype may hold the value; False for what `checking` had better look at."""
    kind = type(value)
    if kind is str:
        return datatype == "BYTES"
    if value is None:
        return datatype == "BYTES" or datatype in WIDTHS
    if kind is int:
        if datatype in RANGES:
            low, high = RANGES[datatype]
            return bool(low <= value <= high)  # type: ignore[operator]
        return datatype in _FLOATS
    return kind is float and datatype in _FLOATS
