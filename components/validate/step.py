"""The validation step: a snapshot's rows, parsed and judged in batches; the good ones typed, the bad ones set aside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from churn.domain import parsing
from churn.domain.contract import Contract
from components.validate import repeats, verdict
from components.validate.identity import entity_ids
from components.validate.report import RepeatedKeys, Report
from components.validate.schema import faults, schema
from components.validate.tally import Tally
from feature_repo import names

BATCH_ROWS = 2**16

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Table:
    """A snapshot's file, the address it came from, and the date of rows that have no event timestamp (ISO 8601)."""

    path: Path
    source: str
    as_of: str


def validate(contract: Contract, table: Table, valid: Path, quarantine: Path) -> Report:
    """`examine`, and then a verdict: raises UserError for a table that nothing can be learned from."""
    report = examine(contract, table, valid, quarantine)
    verdict.refuse(contract, report)
    return report


def examine(contract: Contract, table: Table, valid: Path, quarantine: Path) -> Report:
    """Writes the rows that keep the contract to `valid`, typed (see `valid_schema`), and the others to `quarantine`.

    Quarantined rows have all columns of the source, their number in it (`row`, from 1) and the `reasons`. Rows equal in
    every column count once. Memory holds one batch, and a number for each row that is left out."""
    duplicates = repeats.duplicates(table.path)
    tally, expected = Tally(contract), schema(contract)
    left_out = [duplicates]
    with ExitStack() as stack, pq.ParquetFile(table.path) as file:
        good = stack.enter_context(_writer(valid, valid_schema(contract)))
        bad = stack.enter_context(_writer(quarantine, _quarantine_schema(file.schema_arrow)))
        for numbers, rows in _batches(file, duplicates):
            parsed = parsing.parse(contract, rows)
            found = faults(expected, parsed)
            tally.add(parsed, found, numbers + 1)
            broken = np.unique(found["row"].to_numpy())
            keeps = np.delete(np.arange(len(numbers)), broken)
            left_out.append(numbers[broken])
            _write(good, _typed(contract, parsed.table.take(keeps), table.as_of))
            _write(bad, _set_aside(rows, broken, numbers, found, bad.schema))
            tally.add_valid(parsed.table[contract.target.column].take(keeps))
    return _report(contract, table, tally, np.concatenate(left_out), valid)


def valid_schema(contract: Contract) -> pa.Schema:
    """The entity key, the event timestamp, the contract's columns, and the target as 1, 0 or null."""
    typed = parsing.types(contract)
    key = {names.key(contract): names.key_type(contract)}
    return pa.schema(list((key | {names.EVENT_TIMESTAMP: parsing.TIMESTAMP} | typed).items()))


def _writer(path: Path, written: pa.Schema) -> pq.ParquetWriter:
    path.parent.mkdir(parents=True, exist_ok=True)
    return pq.ParquetWriter(path, written, compression="zstd")


def _write(writer: pq.ParquetWriter, table: pa.Table) -> None:
    if table.num_rows:
        writer.write_table(table)


def _batches(file: pq.ParquetFile, duplicates: Rows) -> Iterator[tuple[Rows, pa.Table]]:
    """Rows of the file without the duplicates, and their numbers from 0."""
    first = 0
    for batch in file.iter_batches(BATCH_ROWS):
        last = first + batch.num_rows
        inside = duplicates[np.searchsorted(duplicates, first) : np.searchsorted(duplicates, last)]
        numbers = np.delete(np.arange(first, last), inside - first)
        if len(numbers):
            yield numbers, pa.Table.from_batches([batch]).take(numbers - first)
        first = last


def _typed(contract: Contract, parsed: pa.Table, as_of: str) -> pa.Table:
    if contract.event_timestamp is None:
        stamp = pa.scalar(datetime.fromisoformat(as_of), parsing.TIMESTAMP)
        parsed = parsed.append_column(names.EVENT_TIMESTAMP, pa.repeat(stamp, parsed.num_rows))
    if contract.key is None:
        parsed = parsed.append_column(names.ENTITY_ID, entity_ids(contract, parsed))
    return parsed.select(valid_schema(contract).names)


def _quarantine_schema(source: pa.Schema) -> pa.Schema:
    for name, kind in (("row", pa.int64()), ("reasons", pa.string())):
        while name in source.names:
            name += "_"  # noqa: PLW2901
        source = source.append(pa.field(name, kind))
    return source


def _set_aside(rows: pa.Table, broken: Rows, numbers: Rows, found: pa.Table, written: pa.Schema) -> pa.Table:
    reasons: dict[int, list[str]] = {row: [] for row in broken.tolist()}
    for row, column, value, problem in zip(*(part.to_pylist() for part in found.columns), strict=True):
        shown = "" if value is None else f" '{value}'"
        reasons[row].append(f"{column}{shown} {problem}")
    columns = [
        *rows.take(broken).columns,
        pa.array(numbers[broken] + 1),
        ["; ".join(all_) for all_ in reasons.values()],
    ]
    return pa.table(columns, schema=written)


def _report(contract: Contract, table: Table, tally: Tally, left_out: Rows, valid: Path) -> Report:
    rows = pq.read_metadata(table.path).num_rows
    kept = pq.read_metadata(valid).num_rows
    quarantined = tally.rows - kept
    return Report(
        source=table.source,
        contract=contract.name,
        contract_digest=contract.digest,
        as_of=table.as_of,
        rows=rows,
        duplicates=rows - tally.rows,
        quarantined=quarantined,
        valid=kept,
        bad_share=round(quarantined / tally.rows, 6) if tally.rows else 0.0,
        max_bad_share=contract.validation.max_bad_share,
        faults=tally.faults(),
        columns=tally.columns(),
        outcomes=tally.outcomes(),
        repeated_keys=_repeated(contract, valid, rows, left_out),
    )


def _repeated(contract: Contract, valid: Path, rows: int, left_out: Rows) -> RepeatedKeys:
    """Keys that are not unique among the valid rows, with row numbers of the source."""
    if contract.key is None:
        return RepeatedKeys()
    found = repeats.repeated(valid, [contract.key.column, names.EVENT_TIMESTAMP])
    if not found.keys:
        return RepeatedKeys()
    number_of = np.delete(np.arange(1, rows + 1), left_out)
    return RepeatedKeys(found.keys, tuple(number_of[found.rows].tolist()))
