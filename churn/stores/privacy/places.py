"""What every place in which customers may lie can be asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import msgspec


class Held(msgspec.Struct, frozen=True):
    """Something that holds rows of the customer: a table, an object's key, a file below the home. Never an id.

    `became` is where the rest of it lies now, where that has another name; `note` says what else there is to know."""

    place: str
    where: str
    rows: int
    became: str = ""
    note: str = ""


class Place(Protocol):
    """One kind of place. Each call looks anew, so that erasing can be repeated until nothing is found."""

    name: str

    def find(self) -> Iterator[Held]:
        """What holds the customer now; changes nothing."""

    def erase(self) -> Iterator[Held]:
        """Erases, and tells what held the customer until now. A kill leaves each thing as it was, or done."""

    def rows(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """The customer's rows, by what holds them."""
