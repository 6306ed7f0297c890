"""Files written batch by batch: whole or not there at all, the same bytes for the same batches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from churn.domain.errors import UserError
from churn.domain.synthetic.columns import TIMESTAMP


def write(batches: Iterator[pa.RecordBatch], out: Path) -> None:
    """Writes batches, at least one, to `out`, CSV or Parquet by its suffix; `out` appears once it is complete. Raises
    UserError for another suffix and for a place that cannot be written."""
    write_to = _FORMATS.get(out.suffix.lower())
    if write_to is None:
        remedy = f"end its name in {' or '.join(_FORMATS)}"
        raise UserError(f"a file that ends in '{out.suffix}' cannot be written", where=str(out), remedy=remedy)
    first = next(batches)
    with _appearing(out) as sink:
        write_to(sink, first, batches)


def _write_parquet(sink: BinaryIO, first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> None:
    words = [field.name for field in first.schema if pa.types.is_string(field.type)][1:]
    with parquet.ParquetWriter(sink, first.schema, use_dictionary=words) as writer:
        writer.write_batch(first)
        for batch in rest:
            writer.write_batch(batch)


def _write_csv(sink: BinaryIO, first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> None:
    """As the IBM sample was published: without quotes, and with a blank where nothing was billed yet."""
    sink.write((",".join(first.schema.names) + "\n").encode())
    options = csv.WriteOptions(include_header=False, quoting_style="none")
    first = _spelled(first)
    with csv.CSVWriter(sink, first.schema, write_options=options) as writer:
        writer.write_batch(first)
        for batch in rest:
            writer.write_batch(_spelled(batch))


_FORMATS = {".csv": _write_csv, ".parquet": _write_parquet}


def _spelled(batch: pa.RecordBatch) -> pa.RecordBatch:
    total = pc.fill_null(batch["TotalCharges"].cast(pa.string()), " ")
    batch = batch.set_column(batch.schema.get_field_index("TotalCharges"), "TotalCharges", total)
    if TIMESTAMP in batch.schema.names:
        days = batch[TIMESTAMP].cast(pa.date32())
        batch = batch.set_column(batch.schema.get_field_index(TIMESTAMP), TIMESTAMP, days)
    return batch


@contextmanager
def _appearing(out: Path) -> Iterator[BinaryIO]:
    """A file beside `out` that takes its place when all went well, and is gone when not."""
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as sink:
            yield sink
            sink.flush()
            os.fsync(sink.fileno())
        part.replace(out)
    except OSError as error:
        problem = f"cannot be written: {error.strerror or error}"
        raise UserError(problem, where=str(out), remedy="name a file in a folder you may write to") from error
    finally:
        if part.exists():
            part.unlink()
