"""Every structural fault of a source: the message names the file, the line or column, and a remedy."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.domain.errors import UserError
from churn.stores.settings import Settings
from components.ingest import sources
from components.ingest.step import ingest

HEADER = "Customer No,plan,visits,gone\n"
ROW = "a1,basic,3,no\n"


def refusal(settings: Settings, contract: str, address: object) -> UserError:
    with pytest.raises(UserError) as caught:
        ingest(settings, str(address), contract)
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", ("", "is empty")),
        (b"\n\n", ("", "blank lines")),
        (HEADER.encode(), ("", "no rows")),
        (HEADER.strip().encode(), ("", "no rows")),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ("line 3", "binary data")),
        (b"PK\x03\x04\x14\0", ("", "Excel")),
        (b"PAR1\x15\x04", ("", "Parquet")),
        (b"\x1f\x8b\x08\x08", ("", "gzip")),
        (HEADER.encode("utf-16"), ("line 1", "UTF-16")),
        ((HEADER + ROW).replace(",", ";").encode(), ("line 1", "semicolons")),
        ((HEADER + ROW).replace(",", "\t").encode(), ("line 1", "tabs")),
        ((HEADER + ROW).replace(",", "|").encode(), ("line 1", "vertical bars")),
        ((HEADER + ROW + "a2,plu\xdf,3,no\n").encode("latin-1"), ("line 3", "byte 7 (0xdf) is not UTF-8")),
        ((HEADER.replace("plan", "Pl\xe4ne") + ROW).encode("latin-1"), ("line 1", "not UTF-8")),
        ((HEADER + ROW + "a2,basic,3\n" + ROW).encode(), ("line 3", "3 values where the header has 4")),
        ((HEADER + 'a1,"x\ny",3,no\n' + "a2,basic,3,no,1\n").encode(), ("line 4", "5 values where the header has 4")),
        ((HEADER + 'a2,"basic,3,no\n' + ROW).encode(), ("line 2", "where the header has 4")),
        ((HEADER + ROW + 'a2,basic,3,"no\n' + ROW).encode(), ("line 3", "never closed")),
        ((HEADER + 'a2,"basic,3,no\n' + ROW * 300_000).encode(), ("line 2", "never closed")),
        ((HEADER.replace("plan", "visits") + ROW).encode(), ("", "'visits' stands twice")),
        ((HEADER.replace("plan", "Plan") + ROW).encode(), ("", "'plan' is missing")),
    ],
)
def test_a_file_that_is_no_csv_of_this_contract_is_refused(
    content: bytes, says: tuple[str, str], settings: Settings, contract: str, tmp_path: Path
) -> None:
    place, words = says
    path = tmp_path / "customers.csv"
    path.write_bytes(content)
    error = refusal(settings, contract, path)

    assert error.where == (f"{path}, {place}" if place else str(path))
    assert words in error.problem


def test_a_missing_column_is_told_with_the_nearest_name(settings: Settings, contract: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEADER.replace("plan", "Plan") + ROW)

    assert refusal(settings, contract, tmp_path / "t.csv").remedy == "did you mean 'Plan'?"


def test_a_ragged_line_deep_in_a_file_is_found(settings: Settings, contract: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEADER + ROW * 150_000 + "a2,basic\n" + ROW * 10)

    assert refusal(settings, contract, tmp_path / "t.csv").where.endswith("line 150002")


def test_what_is_no_file_is_refused(settings: Settings, contract: str, tmp_path: Path) -> None:
    (tmp_path / "table.txt").write_text(HEADER + ROW)

    assert "no such file" in refusal(settings, contract, tmp_path / "absent.csv").problem
    assert "no table is named" in refusal(settings, contract, "").problem
    assert "is a folder" in refusal(settings, contract, tmp_path).problem
    assert "neither .csv nor .parquet" in refusal(settings, contract, tmp_path / "table.txt").problem
    assert "no address of a known kind" in refusal(settings, contract, "https://example.org/t.csv").problem


def test_a_file_that_is_no_parquet_is_refused(settings: Settings, contract: str, tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_text(HEADER + ROW)

    error = refusal(settings, contract, tmp_path / "t.parquet")
    assert "Parquet" in error.problem
    assert error.where == str(tmp_path / "t.parquet")


def test_a_parquet_file_with_a_column_twice_or_without_rows_is_refused(
    settings: Settings, contract: str, tmp_path: Path
) -> None:
    names = ["Customer No", "plan", "visits", "gone"]
    pq.write_table(pa.table([pa.nulls(0, pa.string())] * 4, names=names), tmp_path / "none.parquet")
    pq.write_table(pa.table([["x"]] * 5, names=[*names, "plan"]), tmp_path / "twice.parquet")

    assert "no rows" in refusal(settings, contract, tmp_path / "none.parquet").problem
    assert "'plan' stands twice" in refusal(settings, contract, tmp_path / "twice.parquet").problem


def test_a_contract_that_is_none_is_refused(settings: Settings, table: Path, tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("name: Zo\xeb".encode("latin-1"))
    (tmp_path / "typo.yaml").write_text("name: shop\nclumns: {}\n")

    assert "did you mean 'telco'?" in refusal(settings, "telko", table).remedy
    assert "no such contract" in refusal(settings, str(tmp_path / "absent.yaml"), table).problem
    assert "not UTF-8" in refusal(settings, str(tmp_path / "latin.yaml"), table).problem
    assert "columns" in refusal(settings, str(tmp_path / "typo.yaml"), table).remedy


@pytest.mark.parametrize("address", ["postgresql://user:secret@host/db", "postgresql://user:secret@host/db#"])
def test_a_database_without_a_query_is_refused_and_its_password_not_shown(settings: Settings, address: str) -> None:
    with pytest.raises(UserError, match="names no table") as caught:
        next(sources.read(settings, address))
    assert "secret" not in str(caught.value)


def test_the_configured_database_must_be_postgresql_to_be_read(settings: Settings) -> None:
    with pytest.raises(UserError, match="CHURN_DATABASE"):
        next(sources.read(settings, "database://#customers"))
