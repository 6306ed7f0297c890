"""Who answers whom: the champion, a challenger for a share of the customers, or for a copy of their questions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec import UNSET, UnsetType

from serving.version import Version

SPLIT_SALT = "churn/variant/1"
"""Of the hash that decides who meets the challenger; independent of the hold-out's and of the log's."""

Role = Literal["champion", "challenger"]

_PREFIX = hashlib.sha256(SPLIT_SALT.encode() + b"\0")


@dataclass(frozen=True)
class Lineup:
    """What serves, as one revision of the traffic document has it. A request keeps the line-up that it began with."""

    champion: Version
    challenger: Version | None = None
    share: float = 0.0
    mode: Literal["split", "shadow"] = "split"
    revision: int = 0

    def meets_challenger(self, ids: Sequence[str | int | UnsetType] | None) -> list[int]:
        """The rows of customers who belong to the challenger's share: a customer always does, or never does.

        Customers without an id meet the champion."""
        if self.challenger is None or not self.share or ids is None:
            return []
        return [row for row, key in enumerate(ids) if key is not UNSET and place(key) < self.share]

    @property
    def versions(self) -> list[Version]:
        """All that is loaded."""
        return [self.champion] if self.challenger is None else [self.champion, self.challenger]


def place(key: str | int) -> float:
    """A number in [0, 1) for a customer, as `partition.unit_hash` makes it of this salt."""
    digest = _PREFIX.copy()
    digest.update(str(key).encode())
    return int.from_bytes(digest.digest()[:8], "big") / 2.0**64
