"""The file: whole or absent, the same for the same arguments, in bounded memory."""

import subprocess
import sys
from datetime import date

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.domain.errors import UserError
from churn.domain.synthetic import files
from churn.domain.synthetic.generation import generate
from churn.domain.synthetic.population import Population
from churn.domain.synthetic.snapshot import snapshot

PEAK = """
import sys
from tests.memory import peak_kb
from pathlib import Path
from churn.domain.synthetic.generation import generate
generate(int(sys.argv[1]), 1, 1, Path(sys.argv[2]))
print(peak_kb() // 1024)
"""


def test_one_month_as_csv_is_written_as_the_sample_was(tmp_path):
    generate(2_000, 1, 1, tmp_path / "customers.csv")
    lines = (tmp_path / "customers.csv").read_text().splitlines()
    assert lines[0].startswith("customerID,gender,SeniorCitizen,Partner,")
    assert lines[0].endswith(",MonthlyCharges,TotalCharges,Churn")
    assert '"' not in "".join(lines)
    table = pd.read_csv(tmp_path / "customers.csv", keep_default_na=False)
    assert len(table) == 2_000
    assert set(table.TotalCharges[table.tenure == 0]) == {" "}
    assert pd.to_numeric(table.TotalCharges[table.tenure > 0]).ge(0).all()


def test_months_as_csv_carry_their_date_and_leave_lost_labels_blank(tmp_path):
    report = generate(1_000, 3, 1, tmp_path / "customers.csv", start=date(2024, 11, 1))
    table = pd.read_csv(tmp_path / "customers.csv", keep_default_na=False)
    assert table.snapshot_date.value_counts(sort=False).to_dict() == {
        "2024-11-01": 1_000,
        "2024-12-01": 1_000,
        "2025-01-01": 1_000,
    }
    assert (table.Churn == "").sum() == report.unlabelled > 0


def test_one_month_as_parquet_is_the_snapshot(tmp_path):
    generate(2_000, 1, 1, tmp_path / "customers.parquet")
    assert pq.read_table(tmp_path / "customers.parquet").equals(snapshot(2_000, 1))


def test_months_as_parquet_are_those_of_the_population(tmp_path):
    generate(1_000, 2, 1, tmp_path / "customers.parquet", "price-rise@2")
    table = pq.read_table(tmp_path / "customers.parquet")
    population = Population(1_000, 1, "price-rise@2")
    population.advance()
    assert table[1_000:].combine_chunks().equals(population.labelled().combine_chunks())
    assert table.schema.field("snapshot_date").type == pa.timestamp("us", tz="UTC")


def test_the_report_counts_what_the_file_holds(tmp_path):
    report = generate(3_000, 4, 2, tmp_path / "customers.parquet")
    labels = pq.read_table(tmp_path / "customers.parquet")["Churn"]
    assert (report.rows, report.customers, report.months, report.seed) == (12_000, 3_000, 4, 2)
    assert report.churned == labels.to_pylist().count("Yes")
    assert report.unlabelled == labels.null_count
    assert report.drift == "quiet"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("months", [1, 3])
def test_the_same_arguments_give_the_same_bytes(tmp_path, suffix, months):
    for name in ("one", "two"):
        generate(2_000, months, 5, tmp_path / f"{name}.{suffix}")
    generate(2_000, months, 6, tmp_path / f"other.{suffix}")
    one = (tmp_path / f"one.{suffix}").read_bytes()
    assert one == (tmp_path / f"two.{suffix}").read_bytes()
    assert one != (tmp_path / f"other.{suffix}").read_bytes()


def test_memory_does_not_grow_with_the_rows(tmp_path):
    def peak(rows: int) -> int:
        command = [sys.executable, "-c", PEAK, str(rows), str(tmp_path / "customers.parquet")]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    few, many = peak(300_000), peak(1_500_000)
    assert many < few + 60
    assert many < 500


@pytest.mark.parametrize(
    ("arguments", "name", "said"),
    [
        ((-1, 1, 1), "a.csv", "-1 customers"),
        ((10, 0, 1), "a.csv", "0 months"),
        ((10, 1, -3), "a.csv", "seed -3"),
        ((10, 1, 1), "a.xlsx", "'.xlsx' cannot be written.*\\.csv or \\.parquet"),
        ((10, 1, 1), "a", "'' cannot be written"),
        ((10, 1, 1), "missing/a.csv", "No such file or directory"),
        ((10, 1, 1, "price-rise@2"), "a.csv", "begins in month 2, after the last"),
        ((10, 1, 1, "sabotage@1"), "a.csv", "'sabotage@1' is not known"),
    ],
)
def test_bad_arguments_are_refused_and_leave_nothing_behind(tmp_path, arguments, name, said):
    with pytest.raises(UserError, match=said) as refusal:
        generate(*arguments[:3], tmp_path / name, *arguments[3:])
    assert "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path):
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        generate(10, 1, 1, tmp_path / "a.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_run_that_breaks_off_leaves_the_former_file(tmp_path, name):
    def breaking():
        yield from snapshot(100, 1).to_batches()
        raise KeyboardInterrupt

    (tmp_path / name).write_text("the former")
    with pytest.raises(KeyboardInterrupt):
        files.write(breaking(), tmp_path / name)
    assert (tmp_path / name).read_text() == "the former"
    assert [path.name for path in tmp_path.iterdir()] == [name]
