"""Frames of a spool segment: each checked by itself, so that damage to one costs that one alone."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

SEGMENT_MAGIC = b"CHURNPL1"
"""The first bytes of a segment."""

LAYOUTS, RECORDS = 1, 2
"""Kinds of frames: what features are called, and what was answered."""

_MARK = b"\xc5PLF"
_HEADER = struct.Struct("<4sBIII")  # mark, kind, rows, length of the content, CRC-32 of all that and the content
HEADER_BYTES = _HEADER.size
_LONGEST = 1 << 28
_WINDOW = 1 << 20


class Frame(NamedTuple):
    """A frame that is as it was written; `end` is the offset behind it."""

    kind: int
    rows: int
    content: bytes
    end: int


class Damage(NamedTuple):
    """A stretch that is no frame, up to `end`; `rows` as far as is known. `torn` is a write that was cut off."""

    rows: int
    end: int
    torn: bool


def frame(kind: int, rows: int, content: bytes) -> bytes:
    """The bytes of a frame."""
    bare = _HEADER.pack(_MARK, kind, rows, len(content), 0)
    return _HEADER.pack(_MARK, kind, rows, len(content), zlib.crc32(content, zlib.crc32(bare))) + content


def scan(file: int, start: int, end: int) -> Iterator[Frame | Damage]:
    """What lies in an open file between two offsets, in order. Raises OSError."""
    window = _Window(file, end)
    offset = start
    while offset < end:
        found = _frame_at(window, offset) or _damage_at(window, offset)
        yield found
        offset = found.end


class _Window:
    """Reads ahead in a file."""

    def __init__(self, file: int, end: int) -> None:
        self.end = end
        self._file = file
        self._start, self._bytes = 0, b""

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes, fewer at the end."""
        place = offset - self._start
        if place < 0 or place + length > len(self._bytes):
            wanted = min(max(length, _WINDOW), self.end - offset)
            self._start, self._bytes, place = offset, os.pread(self._file, wanted, offset), 0
        return self._bytes[place : place + length]

    def find(self, offset: int) -> int:
        """Where the next mark is, or -1."""
        while offset < self.end:
            chunk = self.read(offset, _WINDOW)
            place = chunk.find(_MARK)
            if place >= 0:
                return offset + place
            if len(chunk) <= len(_MARK):
                break
            offset += len(chunk) - len(_MARK) + 1
        return -1


def _frame_at(window: _Window, offset: int) -> Frame | None:
    header = window.read(offset, HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        return None
    mark, kind, rows, length, checksum = _HEADER.unpack(header)
    end = offset + HEADER_BYTES + length
    if mark != _MARK or length > _LONGEST or end > window.end:
        return None
    content = window.read(offset + HEADER_BYTES, length)
    bare = _HEADER.pack(_MARK, kind, rows, length, 0)
    if zlib.crc32(content, zlib.crc32(bare)) != checksum:
        return None
    return Frame(kind, rows, content, end)


def _damage_at(window: _Window, offset: int) -> Damage:
    end, torn = _next_frame(window, offset + 1), False
    if end < 0:
        end, torn = window.end, _is_cut_off(window, offset)
    return Damage(_rows_at(window, offset, end), end, torn)


def _next_frame(window: _Window, offset: int) -> int:
    while (offset := window.find(offset)) >= 0:
        if _frame_at(window, offset):
            return offset
        offset += 1
    return -1


def _is_cut_off(window: _Window, offset: int) -> bool:
    header = window.read(offset, HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        return _MARK.startswith(header[: len(_MARK)])
    mark, _, _, length, _ = _HEADER.unpack(header)
    return bool(mark == _MARK and offset + HEADER_BYTES + length > window.end)


def _rows_at(window: _Window, offset: int, end: int) -> int:
    """The rows of a damaged frame whose header fits what follows it; 0 for any other."""
    header = window.read(offset, HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        return 0
    mark, kind, rows, length, _ = _HEADER.unpack(header)
    return rows if mark == _MARK and kind == RECORDS and offset + HEADER_BYTES + length == end else 0
