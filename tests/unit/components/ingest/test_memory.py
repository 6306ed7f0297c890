"""Memory does not grow with the table: measured as the peak of a process that does nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

FEW, MANY = 200_000, 6_000_000
SLACK_MB = 150
"""The many rows take more than twice that in memory."""
MEASURE = """
import sys
from tests.memory import peak_kb
from churn.stores.settings import Settings
from components.ingest.step import ingest
done = ingest(Settings.load({"CHURN_HOME": sys.argv[3]}), sys.argv[1], sys.argv[2])
print(done.rows, peak_kb() // 1024)
"""


def write(rows: int, path: Path) -> Path:
    """A table of the shop in `path`; a Parquet file is a single row group, the worst case for a reader."""
    numbers = pa.array(range(rows))
    table = pa.table(
        {
            "Customer No": numbers.cast(pa.string()),
            "plan": pa.repeat(pa.scalar("basic"), rows),
            "visits": numbers,
            "gone": pa.repeat(pa.scalar("no"), rows),
        }
    )
    if path.suffix == ".csv":
        pa.csv.write_csv(table, path)
    else:
        pq.write_table(table, path, row_group_size=rows, use_dictionary=False)
    return path


def peak_mb(table: Path, contract: str, home: Path, rows: int) -> int:
    command = [sys.executable, "-c", MEASURE, str(table), contract, str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    read, peak = map(int, done.stdout.split())
    assert read == rows
    return peak


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_thirty_times_the_rows_need_no_more_memory(suffix: str, contract: str, tmp_path: Path) -> None:
    peaks = [peak_mb(write(n, tmp_path / f"{n}{suffix}"), contract, tmp_path / f"home{n}", n) for n in (FEW, MANY)]

    assert peaks[1] < peaks[0] + SLACK_MB
