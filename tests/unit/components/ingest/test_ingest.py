from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from churn.domain.errors import UserError
from churn.stores.settings import Settings
from components.ingest import csv_source, parquet_source, snapshot
from components.ingest.step import as_of_time, ingest


def stored(settings: Settings) -> list[Path]:
    return [path for path in settings.home.rglob("*") if path.is_file()]


def test_a_snapshot_holds_every_column_of_a_csv_as_text(settings: Settings, contract: str, table: Path) -> None:
    done = ingest(settings, str(table), contract)

    assert pq.read_table(done.address).to_pydict() == {
        "Customer No": ["a1", "a2"],
        "plan": ["basic", "plus"],
        "visits": ["3", ""],
        "gone": ["no", "yes"],
        "remark": ["", "so, well"],
    }
    assert (done.rows, done.contract.name, done.source) == (2, "shop", str(table))


def test_a_snapshot_is_addressed_by_the_sha256_of_its_file(settings: Settings, contract: str, table: Path) -> None:
    done = ingest(settings, str(table), contract)

    assert Path(done.address).name == f"{done.digest}.parquet"
    assert hashlib.sha256(Path(done.address).read_bytes()).hexdigest() == done.digest


def test_the_same_rows_again_are_the_same_snapshot_and_no_second_copy(
    settings: Settings, contract: str, table: Path, tmp_path: Path
) -> None:
    first = ingest(settings, str(table), contract, as_of="2026-01-01")
    stamp = Path(first.address).stat().st_mtime_ns
    other = tmp_path / "copy.csv"
    other.write_text("\ufeff\n" + table.read_text().replace("\n", "\r\n"))  # a BOM, a blank line, other line ends
    second = ingest(settings, str(other), contract, as_of="2026-02-01")

    assert (second.digest, second.address) == (first.digest, first.address)
    assert Path(first.address).stat().st_mtime_ns == stamp
    assert stored(settings) == [Path(first.address)]


def test_other_rows_are_another_snapshot(settings: Settings, contract: str, table: Path) -> None:
    first = ingest(settings, str(table), contract)
    table.write_text(table.read_text().replace("a1", "a3"))

    assert ingest(settings, str(table), contract).digest != first.digest


def test_nothing_is_left_behind_by_a_refused_table(settings: Settings, contract: str, table: Path) -> None:
    table.write_text(table.read_text() + "a3,basic\n")

    with pytest.raises(UserError):
        ingest(settings, str(table), contract)
    assert stored(settings) == []


def test_a_model_of_another_name_has_the_same_columns(settings: Settings, contract: str, table: Path) -> None:
    done = ingest(settings, str(table), contract, model="shop-north")

    assert done.contract.name == "shop-north"
    assert done.contract.raw == ("plan", "visits")


def test_a_name_that_no_model_can_have_is_refused(settings: Settings, contract: str, table: Path) -> None:
    with pytest.raises(UserError, match="My Model"):
        ingest(settings, str(table), contract, model="My Model")


def test_a_home_that_cannot_be_written_is_refused(tmp_path: Path, contract: str, table: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = Settings.load({"CHURN_HOME": str(tmp_path / "file" / "home")})

    with pytest.raises(UserError, match="CHURN_HOME"):
        ingest(settings, str(table), contract)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("2026-01-31", "2026-01-31T00:00:00+00:00"),
        ("2026-01-31T12:00:00.75Z", "2026-01-31T12:00:00+00:00"),
        ("2026-01-31T01:00:00+02:00", "2026-01-30T23:00:00+00:00"),
    ],
)
def test_an_as_of_date_is_told_in_utc(given: str, text: str) -> None:
    assert as_of_time(given) == text


def test_without_an_as_of_date_it_is_now(settings: Settings, contract: str, table: Path) -> None:
    stamp = datetime.fromisoformat(ingest(settings, str(table), contract).as_of)

    assert abs((datetime.now(UTC) - stamp).total_seconds()) < 60


@pytest.mark.parametrize("given", ["yesterday", "0001-01-01", "1970-12-31", "9999-12-31T23:59:59-05:00"])
def test_what_is_no_date_is_refused(given: str) -> None:
    with pytest.raises(UserError, match=given):
        as_of_time(given)


def test_quoted_values_keep_their_line_breaks_quotes_and_delimiters(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('a,"b\nc"\n"x\ny","say ""no"", or; not"\n', newline="")

    table = pa.Table.from_batches(csv_source.read(path, "t.csv"))
    assert table.to_pydict() == {"a": ["x\ny"], "b\nc": ['say "no", or; not']}


def test_columns_without_a_name_are_called_by_their_position(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(" ,a , \n0,1,2\n")

    assert pa.Table.from_batches(csv_source.read(path, "t.csv")).column_names == ["column 1", "a", "column 3"]


def test_parquet_keeps_its_types_and_nan_becomes_null(tmp_path: Path) -> None:
    table = pa.table(
        {
            "flag": [True, None],
            "plan": pa.array(["basic", "plus"]).dictionary_encode(),
            "name": pa.array(["a", None], pa.large_string()),
            "day": [date(2026, 1, 1), None],
            "amount": [Decimal("1.10"), None],
            "share": pa.array([0.5, float("nan")], pa.float32()),
            "tags": [["x"], None],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    snapshot.write(parquet_source.read(tmp_path / "t.parquet", "t"), tmp_path / "s.parquet")

    found = pq.read_table(tmp_path / "s.parquet")
    assert found["share"].to_pylist() == [0.5, None]
    assert found["share"].null_count == 1
    assert found.drop(["share", "plan", "name"]).equals(table.drop(["share", "plan", "name"]))
    assert found["plan"].type == found["name"].type == pa.string()
    assert found["plan"].to_pylist() == ["basic", "plus"]


def test_a_snapshot_does_not_depend_on_how_its_rows_were_batched(tmp_path: Path) -> None:
    table = pa.table({"n": range(200_000), "t": [str(i % 977) for i in range(200_000)]})
    digests = set()
    for size in (1_000, 65_536, 199_999, 200_000):
        rows = snapshot.write(table.to_batches(size), tmp_path / "s.parquet")
        digests.add(hashlib.sha256((tmp_path / "s.parquet").read_bytes()).hexdigest())
        assert rows == 200_000
    assert len(digests) == 1
    groups = pq.read_metadata(tmp_path / "s.parquet")
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [65_536] * 3 + [3_392]


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(*[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=8)] * 2),
        min_size=1,
        max_size=20,
    )
)
def test_any_text_survives_the_way_through_csv(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    path = tmp_path / "t.csv"
    quoted = [",".join('"' + value.replace('"', '""') + '"' for value in row) for row in [("a", "b"), *rows]]
    path.write_text("\n".join(quoted) + "\n", encoding="utf-8", newline="")

    table = pa.Table.from_batches(csv_source.read(path, "t.csv"))
    assert list(zip(*table.to_pydict().values(), strict=True)) == rows
