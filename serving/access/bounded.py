"""A dictionary that forgets: what anybody can fill from outside has a size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Bounded(Generic[K, V]):
    """At most `size` values; the one that was not asked for the longest gives way."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """The value, which counts as used now; None when there is none."""
        try:
            value = self._values[key]
            self._values.move_to_end(key)
        except KeyError:  # also when another thread made room in between
            return None
        return value

    def put(self, key: K, value: V) -> V:
        """Keeps `value`, and gives it back."""
        self._values[key] = value
        if len(self._values) > self._size:
            self._values.popitem(last=False)
        return value
