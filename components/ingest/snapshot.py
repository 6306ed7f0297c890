"""From a stream of batches to one Parquet file whose bytes depend on nothing but the rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROW_GROUP = 2**16


def write(batches: Iterable[pa.RecordBatch], path: Path) -> int:
    """Writes the rows to `path` in row groups of fixed size, zstd; gives their number. Memory holds one row group.

    NaN becomes null, dictionaries their values; metadata that a writer left in the schema is dropped."""
    rows = 0
    writer: pq.ParquetWriter | None = None
    try:
        for table in _grouped(_plain(batch) for batch in batches):
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table, row_group_size=ROW_GROUP)
            rows += table.num_rows
    finally:
        if writer:
            writer.close()
    return rows


def _grouped(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows in tables of `ROW_GROUP`, the last one shorter."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        while sum(part.num_rows for part in held) >= ROW_GROUP:
            table = pa.Table.from_batches(held)
            yield table.slice(0, ROW_GROUP)
            held = table.slice(ROW_GROUP).to_batches()
    if held:
        yield pa.Table.from_batches(held)


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([_plain_array(array) for array in batch.columns], names=batch.schema.names)


def _plain_array(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_dictionary(kind):
        array = array.dictionary_decode()
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return array.cast(pa.string())
    if pa.types.is_float16(kind):
        array = array.cast(pa.float32())
    if pa.types.is_floating(array.type):
        return pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
    return array
