"""CSV as it is meant: UTF-8, commas, one header, every value text. Arrow reads it; what Arrow refuses is explained."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from churn.domain.errors import UserError
from components.ingest import csv_faults

BLOCK_BYTES = 2**20
"""What Arrow parses at a time, and so the longest row there may be."""


@dataclass(frozen=True)
class _Header:
    """The columns' names, and the number of blank lines above them."""

    names: list[str]
    blank: int


def read(path: Path, where: str) -> Iterator[pa.RecordBatch]:
    """The rows of a CSV file in batches of some MB. Names are trimmed, and "column 3" where the third has none.

    Raises UserError naming `where`, the line or the column for a file that is no such CSV."""
    csv_faults.refuse_other_formats(path, where)
    header = _header(path, where)
    last: pa.RecordBatch | None = None
    try:
        with _open(path, header) as reader:
            yield pa.RecordBatch.from_arrays([pa.nulls(0, pa.string())] * len(header.names), names=header.names)
            for batch in reader:
                last = batch
                yield pa.RecordBatch.from_arrays(batch.columns, names=header.names)
    except pa.ArrowInvalid as error:
        raise csv_faults.explain(path, where, len(header.names), str(error)) from error
    if last is not None and last.num_rows and "\n" in last.column(len(header.names) - 1)[-1].as_py():
        csv_faults.refuse_open_quote(path, where)


def _header(path: Path, where: str) -> _Header:
    blank = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            for values in csv.reader(text):
                if values:
                    break
                blank += 1
            else:
                raise UserError("holds nothing but blank lines", where=where, remedy="export the table again")
    except UnicodeDecodeError as error:
        raise csv_faults.undecodable(path, where) from error
    except csv.Error as error:
        raise UserError("is not a CSV", where=where, remedy="give comma-separated text with a header") from error
    csv_faults.refuse_other_delimiter(values, where)
    return _Header([name.strip() or f"column {number}" for number, name in enumerate(values, 1)], blank)


def _open(path: Path, header: _Header) -> pa.csv.CSVStreamingReader:
    positions = [str(position) for position in range(len(header.names))]  # Arrow's types go by name, and names repeat
    return pa.csv.open_csv(
        str(path),
        read_options=pa.csv.ReadOptions(
            column_names=positions, skip_rows_after_names=header.blank + 1, block_size=BLOCK_BYTES
        ),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(positions, pa.string())),
    )
