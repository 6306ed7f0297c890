"""What a request asks, whatever protocol it came by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET

from serving.answers import Answer

ABSENT = UNSET
"""Stands where a customer's value was left out; None is a value that was given, and is null."""

_SHOWN = 80


class Asked(ABC):
    """`count` customers, and for each field that is named their values in order: Python's, as the protocol gives them.

    A protocol says how places in its requests are called, and how answers are written."""

    def __init__(self, count: int, values: Mapping[str, Sequence[object]]) -> None:
        self.count = count
        self.values = values

    @abstractmethod
    def cell(self, row: int, name: str) -> str:
        """The path of one value."""

    @abstractmethod
    def customer(self, row: int) -> str:
        """The path of one customer."""

    @abstractmethod
    def places(self, name: str, rows: Sequence[int]) -> list[str]:
        """The paths at which a field stands that should not, or should stand and does not."""

    @abstractmethod
    def render(self, answers: Sequence[Answer]) -> Any:
        """The response, one answer for each customer."""


def shown(name: str) -> str:
    """A name from a request as it is repeated in an answer: not longer than a line."""
    return name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"
