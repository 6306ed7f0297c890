"""Parquet files, in batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from churn.domain.errors import UserError

BATCH_ROWS = 2**16
_BUFFER_BYTES = 2**20


def read(path: Path, where: str) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file with its own types. Raises UserError naming `where` for a file that is none."""
    try:
        # Buffered and not read ahead: otherwise a whole row group would lie in memory, and a file may be a single one.
        with pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
            schema = file.schema_arrow
            yield pa.RecordBatch.from_arrays([pa.nulls(0, kind) for kind in schema.types], names=schema.names)
            yield from file.iter_batches(BATCH_ROWS)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        remedy = "write it again; is it Parquet at all?"
        raise UserError(f"cannot be read as Parquet: {reason}", where=where, remedy=remedy) from error
