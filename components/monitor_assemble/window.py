"""What was logged in a window: a sample of its customers, each with the newest row, in memory that has a bound."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo import names

_ROWS = 20_000
_STEP = np.uint64(0x9E3779B97F4A7C15)

Places = npt.NDArray[np.uint64]


def places(batch: pa.RecordBatch) -> Places:
    """A place (n,) for each row of the log: the same for all rows of a customer, and as good as random.

    A pseudonym is a keyed hash, and of a record's id the last bytes are random, so that half of each will do."""
    rows = np.asarray(batch["row"].to_numpy(), np.uint64)
    record = _half(batch["record"], 1) + rows * _STEP
    named = np.asarray(pc.is_valid(batch["customer"]).to_numpy(zero_copy_only=False))
    blank = pa.scalar(bytes(16), pa.binary(16))
    return np.where(named, _half(pc.coalesce(batch["customer"], blank), 0), record)


class Reservoir:
    """Keeps the rows with the lowest places, at most `most` of them: which ones does not depend on their order."""

    def __init__(self, schema: pa.Schema, most: int = _ROWS) -> None:
        self._most, self._table, self._places = most, schema.empty_table(), np.empty(0, np.uint64)
        self._waiting: list[tuple[pa.Table, Places]] = []
        self._limit: np.uint64 | None = None

    def add(self, table: pa.Table, at: Places) -> None:
        """Takes rows whose time stands under a name that no contract gives to a column."""
        if self._limit is not None:
            near = at <= self._limit
            table, at = table.filter(pa.array(near)), at[near]
        self._waiting.append((table, at))
        if sum(len(one) for _, one in self._waiting) > self._most:
            self._settle()

    def rows(self) -> pa.Table:
        """The rows that were kept, one a place: the newest."""
        self._settle()
        return self._table

    def _settle(self) -> None:
        table = pa.concat_tables([self._table, *(one for one, _ in self._waiting)])
        at = np.concatenate([self._places, *(one for _, one in self._waiting)])
        time = table[names.EVENT_TIMESTAMP].cast(pa.int64()).to_numpy()
        order = np.lexsort((time, at))
        last = np.append(at[order][1:] != at[order][:-1], True) if len(order) else np.empty(0, np.bool_)
        kept = order[last][: self._most]
        self._table, self._places, self._waiting = table.take(pa.array(kept)).combine_chunks(), at[kept], []
        if len(kept) == self._most:
            self._limit = self._places[-1]


def _half(values: pa.Array, which: int) -> Places:
    """The first eight bytes of each value of sixteen, or the last."""
    whole = pa.concat_arrays([values]) if values.offset else values
    buffer = whole.buffers()[1]
    return np.frombuffer(buffer, "<u8", count=2 * len(whole))[which::2].astype(np.uint64)
