"""JSON bodies, and msgspec's complaints about them as faults."""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

import msgspec

from churn.domain.formula import nearest
from serving.asked import shown
from serving.errors import Fault, MalformedError

T = TypeVar("T")

BODY = "body"
_DIGITS = 1000

_PLACE = re.compile(r"(?P<problem>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?", re.DOTALL)
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)


def parse(body: bytes) -> Any:
    """The document in a body. Raises MalformedError for anything that is not JSON.

    NaN, Infinity and 1e400 are let through, so that they are refused where the place they stand at has a name."""
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return _lenient(body)


def _lenient(body: bytes) -> Any:
    try:
        document = json.loads(body.decode(), parse_int=_whole)  # bytes would be taken for UTF-16, too
        msgspec.json.encode(document)  # refuses what could not be repeated in an answer: halves of surrogate pairs
    except (ValueError, RecursionError) as error:
        raise MalformedError([Fault(BODY, "is not JSON")]) from error
    return document


def _whole(text: str) -> int | float:
    """A number of more digits than Python spells out is beyond all that a float holds: infinite, like 1e400."""
    return int(text) if len(text) <= _DIGITS else float(text)


def shaped(document: Any, kind: type[T], within: str = "") -> T:
    """A document as a structure. Raises MalformedError with the place, `within` the request, where it is not one."""
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise MalformedError([_fault(str(error), kind, within)]) from error


def _fault(complaint: str, kind: type, within: str) -> Fault:
    found = _PLACE.fullmatch(complaint)
    assert found
    path, unknown = found["path"] or "", _UNKNOWN_FIELD.fullmatch(found["problem"])
    if within:
        path = f"{within}.{path}" if path else within
    if not unknown:
        problem = found["problem"].replace("`", "'")
        return Fault(path or BODY, f"is not what it should be: {problem}")
    known = [] if path != within else [field.encode_name for field in msgspec.structs.fields(kind)]
    place = ".".join(part for part in (path, shown(unknown["name"])) if part)
    return Fault(place, f"is no field of a request; {nearest(unknown['name'], known)}".rstrip("; "))
