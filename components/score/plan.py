"""What the steps of a batch run agree upon: who scores which rows, and where they leave what they have."""

from __future__ import annotations

import hashlib

import msgspec

from churn.domain.errors import UserError

FORMAT = 1
"""Of what the parts hold; another one and a rerun takes up nothing of the former."""


MOST_SHARDS = 1_000

WORK = "batch"
"""Where finished shards lie in the object store, by model, date and run, until the run is closed."""


class Shard(msgspec.Struct, frozen=True):
    """Rows of the snapshot, from `first` (0 is the first) up to and without `end`."""

    number: int
    first: int
    end: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run: the champion as it was at the start, an immutable table, and its shards.

    `version`, `digest` and `bundle` are the champion's; `snapshot` is the table's address, `snapshot_digest` its
    SHA-256; `source` says where it came from; `as_of` is the run's date (ISO 8601), `out` the folder or s3:// address
    below which the scores appear."""

    model: str
    version: int
    digest: str
    bundle: str
    contract: str
    snapshot: str
    snapshot_digest: str
    rows: int
    source: str
    as_of: str
    shards: tuple[Shard, ...]
    reasons: bool
    out: str
    format: int = FORMAT

    @property
    def id(self) -> str:
        """SHA-256 of all that the parts depend on: a rerun with the same goes on where the former ended."""
        meant = (self.format, self.model, self.version, self.digest, self.snapshot_digest, self.as_of, self.shards)
        return hashlib.sha256(msgspec.json.encode((*meant, self.reasons))).hexdigest()

    @property
    def work(self) -> str:
        """The object store's key of the folder where finished shards lie until the run is closed."""
        return f"{WORK}/{self.model}/{self.as_of}/{self.id[:32]}"


class Fault(msgspec.Struct, frozen=True):
    """How many rows of a shard were set aside for one reason, and the first of them (from 1, in the snapshot)."""

    column: str
    problem: str
    rows: int
    first: int


class File(msgspec.Struct, frozen=True):
    """A file in the object store."""

    address: str
    digest: str
    rows: int
    bytes: int


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A shard that is done: its scores, and the rows that were set aside, where there are any."""

    shard: Shard
    part: File
    quarantine: File | None = None
    faults: tuple[Fault, ...] = ()


def require_shards(count: int, where: str) -> None:
    """Raises UserError for a number of shards that is none; 0 is as many as suit."""
    if not 0 <= count <= MOST_SHARDS:
        raise UserError(f"{count} are none", where=where, remedy=f"from 1 to {MOST_SHARDS}, or 0 for as many as suit")


def cut(rows: int, groups: tuple[int, ...], count: int) -> tuple[Shard, ...]:
    """`count` shards of about as many rows, cut where row groups end, where these are small enough for that.

    By place, not by a hash of the key: so each shard reads its own bytes of the file alone."""
    count = max(1, min(count, rows))
    ends = [sum(groups[:place]) for place in range(1, len(groups) + 1)]
    bounds = [0]
    for number in range(1, count):
        wanted = rows * number // count
        nearest = min(ends, key=lambda end: abs(end - wanted))
        bounds.append(nearest if bounds[-1] < nearest < rows and abs(nearest - wanted) * 4 <= rows // count else wanted)
    bounds.append(rows)
    return tuple(Shard(number, bounds[number], bounds[number + 1]) for number in range(count))
