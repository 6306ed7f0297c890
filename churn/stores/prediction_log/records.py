"""What is logged about a request, how its features are called, and how the log is set up."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from churn.domain.contract import Contract

Durability = Literal["batched", "durable"]

FLUSH_S = 0.1
"""With `batched`, what was answered in the last so many seconds before a `kill -9` may be lost; no more."""

ID_BYTES = 16

_RANDOM = 0x0FFF_3FFF_FFFF_FFFF_FFFF
_VERSION_7 = 0x7000_8000_0000_0000_0000


class Logged(msgspec.Struct, array_like=True, gc=False):
    """One answered request of n rows, for one variant; columns, so that it costs little however many rows there are.

    `record` is `new_record()`, once for each; `at` is in seconds since 1970. `customers` holds a pseudonym of 16 bytes
    or None for each row, or is None when no row has an id. `probabilities` is float64 (n), `risks` n codes (0 low,
    1 medium, 2 high), `features` float64 (n, k) of the contract's columns: all little-endian, nulls NaN, categories
    codes in the contract's order. `layout` is what `PredictionLog.describe` gave for the contract."""

    record: bytes
    request_id: str
    at: float
    model: str
    version: int
    variant: str
    shadow: bool
    threshold: float
    latency_ms: float
    layout: str
    customers: list[bytes | None] | None
    probabilities: bytes
    risks: bytes
    features: bytes

    @property
    def rows(self) -> int:
        """n."""
        return len(self.probabilities) >> 3

    def is_sound(self) -> bool:
        """Whether the columns fit together."""
        rows = self.rows
        return (
            rows > 0
            and len(self.record) == ID_BYTES
            and len(self.probabilities) == 8 * rows
            and len(self.risks) == rows
            and len(self.features) % (8 * rows) == 0
            and (
                self.customers is None
                or (len(self.customers) == rows and {len(one) for one in self.customers if one} <= {ID_BYTES})
            )
        )


class LayoutColumn(msgspec.Struct, frozen=True):
    """A column of the feature matrix; `labels` are a category's, in the order of its codes."""

    name: str
    type: Literal["integer", "number", "category"]
    labels: tuple[str, ...] = ()


class Layout(msgspec.Struct, frozen=True):
    """What the columns of a feature matrix are; `digest` is the contract's."""

    digest: str
    model: str
    columns: tuple[LayoutColumn, ...]

    @classmethod
    def of(cls, contract: Contract) -> Layout:
        """The layout of matrices of the contract's columns."""
        columns = (LayoutColumn(name, one.type, one.categories) for name, one in contract.columns.items())
        return cls(contract.digest, contract.name, tuple(columns))


class LogOptions(msgspec.Struct, frozen=True):
    """Where the log goes and what it may cost. Times are in seconds.

    `spool` is one folder for all processes of a machine, and `spool_limit_bytes` bounds all they keep there;
    `memory_limit_bytes` bounds what one process holds while the spool cannot be written."""

    database: str
    spool: Path
    durability: Durability = "batched"
    spool_limit_bytes: int = 1 << 30
    memory_limit_bytes: int = 64 << 20
    flush_s: float = FLUSH_S
    ship_s: float = 0.25
    adopt_s: float = 5.0
    segment_bytes: int = 8 << 20
    segment_s: float = 10.0
    batch_rows: int = 20_000


class LogStatus(msgspec.Struct, frozen=True):
    """Where the log stands. Rows count from the start of the process.

    `queued_*` is in memory, `spooled_*` on disk and not yet in the database (`spooled_rows` of this process alone,
    bytes with what it adopted). `lag_s` is the age of the oldest record that a delivery is under way for. Errors name a
    kind, or are empty once all is well again: of writing to the spool, of the database, and of reading what a process
    left that is gone."""

    queued_rows: int
    queued_bytes: int
    spooled_rows: int
    spooled_bytes: int
    written_rows: int
    lost_rows: int
    damaged_frames: int
    lag_s: float
    spool_error: str
    database_error: str
    left_error: str

    @property
    def last_error(self) -> str:
        """One of the errors, the worst first."""
        return self.spool_error or self.database_error or self.left_error


def new_record() -> bytes:
    """A fresh record id: a UUID of version 7 (RFC 9562), so that what is logged together stands together in an index.

    Its last eight bytes are as good as random."""
    number = int.from_bytes(os.urandom(10), "big") & _RANDOM | _VERSION_7
    return (time.time_ns() // 1_000_000 << 80 | number).to_bytes(ID_BYTES, "big")
