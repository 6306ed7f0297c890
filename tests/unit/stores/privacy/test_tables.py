from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.domain import contract as contracts
from churn.domain.contract import Contract
from churn.stores.prediction_log.pseudonyms import Pseudonyms
from churn.stores.privacy import tables
from churn.stores.privacy.customer import Customer
from churn.stores.privacy.tables import Finder, Form, Lack, Search

BANK = """
name: bank
key: {{column: account, source: Konto Nr., type: {key}}}
target: {{column: gone, positive: 1}}
columns: {{balance: {{type: number, source: Saldo}}, branch: {{type: integer, nullable: true}}}}
"""


def bank(key: str = "integer") -> Contract:
    return contracts.parse(BANK.format(key=key))


def search(customer: str, *known: Contract) -> Search:
    return Search(Customer(customer, None), known or (bank(),))


def source(path: Path, ids: pa.Array | list[Any]) -> Path:
    size = len(ids)
    columns = {"branch": range(size), "Saldo": [1.5] * size, "Konto Nr.": ids, "gone": [0] * size}
    pq.write_table(pa.table(columns), path)
    return path


def left(path: Path, found: Finder | Lack) -> list[Any]:
    """Branches, which count the rows, after the customer's have gone."""
    assert isinstance(found, Finder)
    target = path.with_name("rest")
    gone = tables.rewrite(path, target, found)
    assert gone == tables.count(path, found) == len(tables.rows(path, found))
    return pq.read_table(target)["branch"].to_pylist()


@pytest.mark.parametrize(
    "ids",
    [
        pa.array([7, 70, None, 7]),
        pa.array([7.0, 70.5, float("nan"), 7.0]),
        pa.array([" 7 ", "70", "NA", "007"]),
        pa.array(["7", "x", None, "+7"]).dictionary_encode(),
        pa.array(["7", "70", "7.5", "7"], pa.large_string()),
    ],
)
def test_a_key_that_counts_is_read_as_the_contract_reads_it(tmp_path: Path, ids: pa.Array) -> None:
    path = source(tmp_path / "a", ids)
    assert left(path, search("007").finder(path, Form.SOURCE)) == [1, 2]


def test_a_key_that_is_text_is_compared_as_text(tmp_path: Path) -> None:
    path = source(tmp_path / "a", [" 7", "007", "7", None])
    assert left(path, search("7", bank("string")).finder(path, Form.SOURCE)) == [1, 3]
    path = source(tmp_path / "b", [7, 70, 7, None])
    assert left(path, search("7", bank("string")).finder(path, Form.SOURCE)) == [1, 3]


def test_another_column_with_the_same_number_is_not_the_customer(tmp_path: Path) -> None:
    path = source(tmp_path / "a", [5, 6, 7, 8, 9])
    assert left(path, search("3").finder(path, Form.SOURCE)) == [0, 1, 2, 3, 4]


def test_what_a_step_writes_is_read_by_its_first_column_whatever_the_contract(tmp_path: Path) -> None:
    columns = {"id": [3, 4], "event_timestamp": [0, 0], "branch": [4, 3]}
    pq.write_table(pa.table(columns), tmp_path / "a")
    assert left(tmp_path / "a", search("3").finder(tmp_path / "a", Form.OWN)) == [3]
    assert left(tmp_path / "a", search("x").finder(tmp_path / "a", Form.OWN)) == [4, 3]


def test_a_table_that_nobody_can_be_found_in_says_why(tmp_path: Path) -> None:
    rows = contracts.parse("name: rows\ntarget: {column: gone, positive: 1}\ncolumns: {branch: {type: integer}}\n")
    path = source(tmp_path / "a", [1])
    assert search("1", rows).finder(path, Form.SOURCE) is Lack.NO_KEY
    assert isinstance(search("1", rows, bank()).finder(path, Form.SOURCE), Finder)
    pq.write_table(pa.table({"entity_id": ["a1"], "event_timestamp": [0]}), tmp_path / "hashed")
    assert search("a1").finder(tmp_path / "hashed", Form.OWN) is Lack.NO_KEY
    pq.write_table(pa.table({"other": [1]}), tmp_path / "other")
    assert search("1").finder(tmp_path / "other", Form.SOURCE) is Lack.UNKNOWN
    (tmp_path / "half").write_bytes(path.read_bytes()[:-20])
    (tmp_path / "latin.csv").write_bytes(b"Konto Nr.;\xe4\n")
    for name in ("half", "latin.csv"):
        assert search("1").finder(tmp_path / name, Form.SOURCE) is Lack.BROKEN


def test_copies_are_known_by_what_they_hold_and_a_table_to_be_scored_needs_no_outcome(tmp_path: Path) -> None:
    scores = {"id": [3, 4], "probability": [0.1, 0.2], "decision": [True, False], "risk": ["low", "low"]}
    pq.write_table(pa.table(scores | {"branch": [1, 2]}), tmp_path / "scores")
    assert left(tmp_path / "scores", search("3").finder(tmp_path / "scores", Form.SOURCE)) == [2]
    path = source(tmp_path / "a", [7, 8])
    pq.write_table(pq.read_table(path).drop_columns("gone"), path)
    assert left(path, search("7").finder(path, Form.SOURCE)) == [1]
    names = Pseudonyms(b"k" * 32)
    log = {"record": [b"r", b"s"], "row": [0, 1], "predicted_at": [0, 0], "branch": [1, 2]}
    pq.write_table(
        pa.table(log | {"customer": pa.array([names.pseudonym("7"), None], pa.binary(16))}), tmp_path / "log"
    )
    found = Search(Customer("7", names), ()).finder(tmp_path / "log", Form.SOURCE)
    assert left(tmp_path / "log", found) == [2]


def test_a_csv_keeps_its_other_lines(tmp_path: Path) -> None:
    lines = [["branch", " Konto Nr. ", "Saldo", "gone"], ["1", " 7", "1,5", "a\nb"], ["2", "8", '"', ""], ["3", "7"]]
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)
    found = search("7").finder(tmp_path / "a.csv", Form.SOURCE)
    assert isinstance(found, Finder)
    assert [row["branch"] for row in tables.rows(tmp_path / "a.csv", found)] == ["1", "3"]
    assert tables.rewrite(tmp_path / "a.csv", tmp_path / "b.csv", found) == 2
    with (tmp_path / "b.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [lines[0], lines[2]]


def test_the_same_rows_without_the_same_customer_are_the_same_bytes(tmp_path: Path) -> None:
    """What a killed erasure has stored already, the next finds under the same digest."""
    path = source(tmp_path / "a", list(range(100_000)))
    found = search("70000").finder(path, Form.SOURCE)
    assert isinstance(found, Finder)
    for name in ("one", "two"):
        tables.rewrite(path, tmp_path / name, found)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert pq.read_metadata(tmp_path / "one").num_rows == 99_999
