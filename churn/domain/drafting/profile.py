"""What the columns of a table hold, gathered batch by batch in memory that does not grow with the rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from churn.domain import parsing
from churn.domain.contract import MISSING
from churn.domain.errors import UserError

MOST_VALUES = 200
"""Distinct values are counted up to here; a column with more has no categories."""

SAMPLE_ROWS = 20_000

_MOST_WORDS = 20
_DATE = r"^(\d{4}-\d{1,2}-\d{1,2}([T ].*)?|\d{4}/\d{1,2}/\d{1,2}.*|\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}.*)$"
_PADDED = r"^[+-]?0\d+$"


@dataclass
class Column:
    """One column of a source. `low` and `high` span its numbers; `words` are the values that are none, a few of them.

    `values` counts each distinct value by its text, and is None where there are more than `MOST_VALUES`."""

    source: str
    type: pa.DataType
    rows: int = 0
    missing: int = 0
    unsupported: int = 0
    numbers: int = 0
    integers: int = 0
    padded: int = 0
    dates: int = 0
    low: float = math.inf
    high: float = -math.inf
    words: Counter[str] = field(default_factory=Counter)
    values: Counter[str] | None = field(default_factory=Counter)

    @property
    def present(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    def add(self, values: pa.Array) -> None:
        """The next batch of the column, as `parsing.values_of` gives it."""
        given = parsing.present(values, MISSING)
        texts = parsing.text(given)
        self.rows += len(given)
        self.missing += given.null_count
        self.unsupported += texts.null_count - given.null_count
        self._count_numbers(given, texts)
        if pa.types.is_date(given.type) or pa.types.is_timestamp(given.type):
            self.dates += len(given) - given.null_count
        elif pa.types.is_string(given.type):
            self.dates += _count(pc.match_substring_regex(given, _DATE))
            self.padded += _count(pc.match_substring_regex(given, _PADDED))
        self._count_values(texts)

    def _count_numbers(self, given: pa.Array, texts: pa.Array) -> None:
        numbers = parsing.numbers(given)
        self.numbers += len(numbers) - numbers.null_count
        integers = parsing.integers(given)
        self.integers += len(integers) - integers.null_count
        span = pc.min_max(numbers).as_py()
        if span["min"] is not None:
            self.low, self.high = min(self.low, span["min"]), max(self.high, span["max"])
        if len(self.words) <= _MOST_WORDS and numbers.null_count > given.null_count:
            words = pc.filter(texts, pc.and_(pc.is_null(numbers), pc.is_valid(texts)))
            self.words.update(_counted(words, _MOST_WORDS + 1))

    def _count_values(self, texts: pa.Array) -> None:
        if self.values is not None:
            self.values.update(_counted(texts.drop_null(), MOST_VALUES + 1))
            if len(self.values) > MOST_VALUES:
                self.values = None


@dataclass
class Profile:
    """A table's columns by name, the number of its rows, and some of them, evenly spread."""

    columns: dict[str, Column]
    rows: int
    sample: pa.Table


def profile(batches: Iterable[pa.RecordBatch], where: str) -> Profile:
    """The profile of a table. Raises UserError when it has no rows, or a column twice."""
    columns: dict[str, Column] = {}
    sample = _Sample()
    rows = 0
    for batch in batches:
        if not columns:
            columns = {name: Column(name, batch.schema.field(name).type) for name in _distinct(batch.schema, where)}
        table = pa.Table.from_batches([batch])
        for column in columns.values():
            column.add(parsing.values_of(table, column.source))
        sample.add(table, rows)
        rows += table.num_rows
    if not rows:
        raise UserError("has no rows", where=where, remedy="give a table with a header and rows")
    return Profile(columns, rows, sample.table)


class _Sample:
    """Every n-th row of a table of unknown length; n doubles as often as they become more than 2 * SAMPLE_ROWS."""

    def __init__(self) -> None:
        self._step = 1
        self._parts: list[pa.Table] = []

    @property
    def table(self) -> pa.Table:
        return pa.concat_tables(self._parts)

    def add(self, table: pa.Table, first: int) -> None:
        """Rows that are the table's from number `first` on."""
        self._parts.append(_every(table, self._step, -first % self._step))
        if sum(part.num_rows for part in self._parts) > 2 * SAMPLE_ROWS:
            self._parts = [_every(self.table, 2, 0)]
            self._step *= 2


def _every(table: pa.Table, step: int, start: int) -> pa.Table:
    return table.take(pa.array(range(start, table.num_rows, step), pa.int64()))


def _distinct(schema: pa.Schema, where: str) -> list[str]:
    twice = [name for name, count in Counter(schema.names).items() if count > 1]
    if twice:
        raise UserError(f"the column '{twice[0]}' stands twice", where=where, remedy="rename or remove one of the two")
    return list(schema.names)


def _count(mask: pa.Array) -> int:
    return pc.sum(mask).as_py() or 0


def _counted(texts: pa.Array, most: int) -> dict[str, int]:
    """How often each text stands there; `most` of them."""
    counts = pc.value_counts(texts).slice(0, most)
    return {one["values"]: one["counts"] for one in counts.to_pylist()}
