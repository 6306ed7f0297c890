"""Rows that stand more than once, found by DuckDB, which spills to disk what does not fit into its share of memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

Rows = npt.NDArray[np.int64]

_MEMORY = "1GB"
_SHOWN = 3


@dataclass(frozen=True)
class Repeated:
    """How many keys stand more than once, and the row numbers of one of them."""

    keys: int = 0
    rows: Rows = field(default_factory=lambda: np.empty(0, np.int64))


def duplicates(path: Path) -> Rows:
    """Numbers (from 0, rising) of the rows of a Parquet file that equal an earlier one in every column."""
    names = ", ".join(f'"{position}"' for position in range(len(pq.read_schema(path).names)))
    rows = f'read_parquet($path, file_row_number = true) AS rows ({names}, "row")'  # any name may stand in a source
    query = f"""
        WITH hashes AS (SELECT hash({names}) AS hash FROM {rows} GROUP BY 1 HAVING count(*) > 1),
        suspects AS (SELECT * FROM {rows} WHERE hash({names}) IN (FROM hashes))
        SELECT "row" FROM suspects
        QUALIFY row_number() OVER (PARTITION BY {names} ORDER BY "row") > 1
        ORDER BY "row"
    """  # noqa: S608 - numbers alone
    with _database() as database:
        return _numbers(database.execute(query, {"path": str(path)}))


def repeated(path: Path, columns: list[str]) -> Repeated:
    """The values of `columns` (identifiers) that more than one row of a Parquet file has."""
    names = ", ".join(f'"{name}"' for name in columns)
    query = f"""
        SELECT count(*) OVER () AS keys, rows[:{_SHOWN}] AS rows FROM (
            SELECT list(file_row_number ORDER BY file_row_number) AS rows
            FROM read_parquet($path, file_row_number = true) GROUP BY {names} HAVING count(*) > 1
        ) ORDER BY rows LIMIT 1
    """  # noqa: S608 - the contract's identifiers
    with _database() as database:
        found = database.execute(query, {"path": str(path)}).fetchone()
    return Repeated(found[0], np.array(found[1], np.int64)) if found else Repeated()


@contextmanager
def _database() -> Iterator[duckdb.DuckDBPyConnection]:
    with TemporaryDirectory() as folder:
        database = duckdb.connect(config={"memory_limit": _MEMORY, "temp_directory": folder})
        try:
            yield database
        finally:
            database.close()


def _numbers(result: duckdb.DuckDBPyConnection) -> Rows:
    return np.asarray(result.fetchnumpy()["row"], np.int64)
