"""What a request asks, whatever protocol it came by."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from msgspec import UNSET, Meta

if TYPE_CHECKING:
    from serving.plain import Columns, Plain

ABSENT = UNSET
"""Stands where a customer's value was left out; None is a value that was given, and is null."""


class Misfit(msgspec.Struct, frozen=True):
    """Stands where a tensor has a value that is not of its `datatype`."""

    datatype: str


TOP = 3
_SHOWN = 80


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller may say besides the customers; both protocols call it `parameters`.

    `threshold` takes the place of the one with the highest expected profit; `explain` asks for the reasons, the `top`
    of them in words; with `partial`, customers who can be answered are, and the others get their faults."""

    threshold: Annotated[float, Meta(ge=0, le=1)] | None = None
    explain: bool = False
    top: Annotated[float, Meta(ge=1, le=100, multiple_of=1)] = TOP  # 3.0 is an integer to JSON, and to some clients
    partial: bool = False


PLAIN_OPTIONS = Options()


class Tensor:
    """One input of a v2 request: values in `data` (Python's, None where JSON has null), or little-endian in `raw`."""

    __slots__ = ("data", "datatype", "name", "raw", "shape")

    def __init__(
        self, name: str, datatype: str, shape: Sequence[int], data: Sequence[Any] | None, raw: bytes | None = None
    ) -> None:
        self.name, self.datatype, self.shape, self.data, self.raw = name, datatype, shape, data, raw

    def single(self) -> Any:
        """The one value of a tensor that has one; ABSENT where that is not plain to see."""
        values = self.data if self.raw is None else self.listed(1)
        return values[0] if values is not None and len(values) == 1 else ABSENT

    def listed(self, most: int) -> Sequence[Any] | None:
        """Python's values, texts as str, not many more than `most`; None where the bytes do not hold what the datatype
        says."""
        if self.raw is None:
            return self.data
        if self.datatype == "BYTES":
            return _texts(self.raw, most)
        width = WIDTHS.get(self.datatype)
        if width is None or len(self.raw) % (size := np.dtype(width).itemsize) or len(self.raw) > (most + 1) * size:
            return None
        values: list[Any] = np.frombuffer(self.raw, width).tolist()
        return values


WIDTHS = {
    "BOOL": "?",
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
}
"""NumPy's name for each datatype of fixed width."""

RANGES = {
    name: (0 if name.startswith("U") else -(2 ** (bits - 1)), 2 ** (bits - (0 if name.startswith("U") else 1)) - 1)
    for bits in (8, 16, 32, 64)
    for name in (f"INT{bits}", f"UINT{bits}")
}
"""The lowest and highest value of each datatype of whole numbers."""

_LENGTH = struct.Struct("<I")


def _texts(raw: bytes, most: int) -> list[str] | None:
    """Texts behind their lengths in four bytes each; not many more than `most`."""
    found: list[str] = []
    place = 0
    while place < len(raw) and len(found) <= most:
        start = place + 4
        if start > len(raw):
            return None
        (length,) = _LENGTH.unpack_from(raw, place)
        place = start + length
        if place > len(raw):
            return None
        try:
            found.append(raw[start:place].decode())
        except UnicodeDecodeError:
            return None
    return found


class Asked(ABC):
    """`count` customers, as a protocol gives them. A protocol says how places in its requests are called.

    `columnar`: all customers have the same fields, so that a field too many or too few is no customer's own fault."""

    columnar: bool
    count: int
    options: Options
    _prepared: tuple[Plain, Columns | None] | None = None

    @property
    @abstractmethod
    def values(self) -> Mapping[str, Sequence[object]]:
        """For each field that is named the customers' values in order, Python's; ABSENT where one has none.

        Raises RequestError for what is no request of the protocol."""

    def rows_with(self, name: str) -> Sequence[int]:
        """The customers who have a field."""
        return [row for row, value in enumerate(self.values[name]) if value is not ABSENT]

    def plain(self, readers: Plain) -> Columns | None:
        """The customers as the graph takes them, where all is plainly fine."""
        if self._prepared is not None and self._prepared[0] is readers:
            return self._prepared[1]
        return self._read(readers)

    def prepare(self, readers: Plain) -> None:
        """Does what takes long in a request that is large, for `plain`; whoever has a thread to spare calls it."""
        self._prepared = readers, self._read(readers)

    @property
    def heavy(self) -> bool:
        """Whether it is too large to be read between two turns of the event loop."""
        return self._prepared is not None

    @abstractmethod
    def _read(self, readers: Plain) -> Columns | None:
        """What `plain` gives."""

    @abstractmethod
    def cell(self, row: int, name: str) -> str:
        """The path of one value."""

    @abstractmethod
    def field(self, name: str) -> str:
        """The path of a field of all customers."""

    @abstractmethod
    def customer(self, row: int) -> str:
        """The path of one customer."""

    def take(self, rows: Sequence[int]) -> Asked:
        """The same request, of some of its customers only; places are called as they were."""
        return _Some(self, rows)


class _Some(Asked):
    """Some rows of a request."""

    def __init__(self, whole: Asked, rows: Sequence[int]) -> None:
        self._whole, self._rows = whole, rows
        self.count, self.columnar, self.options = len(rows), whole.columnar, whole.options

    @cached_property
    def values(self) -> Mapping[str, Sequence[object]]:
        """The rows' values, of the fields that one of them has."""
        taken = {name: [values[row] for row in self._rows] for name, values in self._whole.values.items()}
        return {name: values for name, values in taken.items() if any(value is not ABSENT for value in values)}

    def _read(self, _readers: Plain) -> Columns | None:
        """Left to the strict check."""
        return None

    def cell(self, row: int, name: str) -> str:
        """The place in the whole request."""
        return self._whole.cell(self._rows[row], name)

    def field(self, name: str) -> str:
        """The place in the whole request."""
        return self._whole.field(name)

    def customer(self, row: int) -> str:
        """The place in the whole request."""
        return self._whole.customer(self._rows[row])


def shown(name: str) -> str:
    """A name from a request as it is repeated in an answer: not longer than a line."""
    return name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"
