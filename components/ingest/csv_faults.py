"""What is wrong with a file that is no CSV of ours: the line, the byte, the delimiter, and what to do about it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from churn.domain.errors import UserError

_SIGNATURES = {
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a zip archive or an Excel file",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"\x1f\x8b": "a gzip archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"%PDF": "a PDF",
    b"SQLite format 3": "a SQLite database",
}
_WIDE_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")
_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars", ":": "colons"}
_HEAD_BYTES = 2**16
_AS_UTF8 = "save the file as UTF-8"


def refuse_other_formats(path: Path, where: str) -> None:
    """Raises UserError for what the first bytes give away: another format, UTF-16, or no text at all."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    for signature, name in _SIGNATURES.items():
        if head.startswith(signature):
            raise UserError(f"is {name}, not a CSV", where=where, remedy="export the table as comma-separated text")
    if head.startswith(_WIDE_BYTE_ORDER_MARKS):
        raise UserError("is UTF-16 text", where=f"{where}, line 1", remedy=_AS_UTF8)
    if b"\0" in head:
        line = head[: head.index(b"\0")].count(b"\n") + 1
        remedy = "export the table as comma-separated text"
        raise UserError("is binary data, not a CSV", where=f"{where}, line {line}", remedy=remedy)


def refuse_other_delimiter(header: list[str], where: str) -> None:
    """Raises UserError for a header that is one column only because commas do not separate it."""
    found = {mark: header[0].count(mark) for mark in _DELIMITERS if mark in header[0]} if len(header) == 1 else {}
    if found:
        mark = max(found, key=lambda mark: found[mark])
        shown = header[0] if len(header[0]) <= 80 else f"{header[0][:80]}..."
        raise UserError(
            f"has one column, named '{shown}': it seems to be separated by {_DELIMITERS[mark]} ({mark!r}), not commas",
            where=f"{where}, line 1",
            remedy="save it with commas",
        )


def explain(path: Path, where: str, width: int, message: str) -> UserError:
    """The fault behind a message of Arrow's, found by reading the file a second time."""
    rows = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            for first, last, values in _records(text):
                rows += 1
                if len(values) != width:
                    return _ragged(where, first, last, len(values), width)
    except UnicodeDecodeError:
        return undecodable(path, where)
    except csv.Error:
        return _open_quote(where, path)
    if rows <= 1:
        return UserError("has a header and no rows", where=where, remedy="export the table again")
    problem = f"cannot be read as CSV: {message.splitlines()[0][:200]}"
    return UserError(problem, where=where, remedy="export the table again")


def undecodable(path: Path, where: str) -> UserError:
    """Says which line and byte of the file is not UTF-8."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                byte = f"byte {error.start + 1} (0x{line[error.start]:02x}) is not UTF-8"
                remedy = f"{_AS_UTF8}; it may be Windows-1252 or Latin-1"
                return UserError(byte, where=f"{where}, line {number}", remedy=remedy)
    return UserError("is not UTF-8", where=where, remedy=_AS_UTF8)


def refuse_open_quote(path: Path, where: str) -> None:
    """Raises UserError when the last value of the file begins with a quote that nothing closes."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            for _ in csv.reader(text, strict=True):
                pass
    except csv.Error as error:
        if "end of data" in str(error):
            raise _open_quote(where, path) from error


def _records(lines: Iterator[str]) -> Iterator[tuple[int, int, list[str]]]:
    """Every row that is not blank, with the numbers of its first and last line."""
    reader = csv.reader(lines)
    first = 1
    for values in reader:
        if values:
            yield first, reader.line_num, values
        first = reader.line_num + 1


def _ragged(where: str, first: int, last: int, found: int, width: int) -> UserError:
    remedy = "quote values that contain a comma" if found > width else "complete the line"
    if last > first:
        remedy = f"the row goes on to line {last}: is a quote left open?"
    values = f"{found} value{'s'[: found > 1]}"
    return UserError(f"{values} where the header has {width}", where=f"{where}, line {first}", remedy=remedy)


def _open_quote(where: str, path: Path) -> UserError:
    place = f"{where}, line {_last_row(path)}"
    return UserError("a quote is opened and never closed", where=place, remedy="close it, or remove it")


def _last_row(path: Path) -> int:
    """The line at which the row begins that reaches the end of the file, or that is too long to be one."""
    first = 1
    with path.open(encoding="utf-8-sig", newline="", errors="replace") as text:
        reader = csv.reader(text, strict=True)
        try:
            for _ in reader:
                first = reader.line_num + 1
        except csv.Error:
            pass
    return first
