from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from churn.domain import contract as contracts
from churn.domain.contract import Contract
from churn.stores.database import engine, migrate
from churn.stores.privacy.customer import Customer
from churn.stores.privacy.database import WITH_CUSTOMERS, WITHOUT_CUSTOMERS, CustomerTable, ScoreTable


def test_of_every_table_it_is_known_whether_customers_are_in_it(tmp_path: Path) -> None:
    """A new one must be named, and if there are customers in it, get a place that erases them."""
    url = f"sqlite:///{tmp_path}/churn.db"
    migrate(url)
    tables = set(sa.inspect(engine(url)).get_table_names())
    assert tables >= WITH_CUSTOMERS
    assert tables - WITH_CUSTOMERS - WITHOUT_CUSTOMERS == set()
    assert not WITH_CUSTOMERS & WITHOUT_CUSTOMERS


def contract(name: str, key: str, source: str) -> Contract:
    return contracts.parse(
        f"name: {name}\nkey: {{column: id, source: {source}, type: {key}}}\ntarget: {{column: gone, positive: 1}}\n"
        "columns: {visits: {type: integer}}\n"
    )


@pytest.fixture
def numbered(tmp_path: Path) -> str:
    """A database with scores of two models, and snapshots, of customers 7 and 007."""
    url = f"sqlite:///{tmp_path}/churn.db"
    migrate(url)
    score = "INSERT INTO scores VALUES (?, ?, '2026-01-01', NULL, 1, 0.5, 1, 'low', '', NULL, NULL)"
    with closing(sqlite3.connect(tmp_path / "churn.db")) as connection:
        connection.executemany(score, [(model, one) for model in ("text", "number") for one in ("7", "007")])
        snapshot = "INSERT INTO customers (\"customerID\", snapshot_date) VALUES (?, '2026-01-01')"
        connection.executemany(snapshot, [("7",), ("007",)])
        connection.commit()
    return url


@pytest.mark.parametrize("given", ["007", "+7"])
def test_the_score_of_a_number_is_found_by_another_spelling_only_of_a_model_that_counts(
    numbered: str, given: str
) -> None:
    known = [contract("text", "string", "customerID"), contract("number", "integer", "nr")]
    table = ScoreTable(numbered, Customer(given, None, counts=True), known)
    [(_, rows)] = table.rows()
    exact = [("number", given), ("text", given)] if given == "007" else []
    assert sorted((row["model"], row["customer"]) for row in rows) == sorted([*exact, ("number", "7")])
    assert [held.rows for held in table.erase()] == [len(rows)]
    assert list(table.find()) == []
    assert [held.rows for held in ScoreTable(numbered, Customer("7", None), known).find()] == [1], "of the other model"


def test_a_snapshot_is_another_persons_unless_the_contract_that_reads_it_counts(numbered: str) -> None:
    customer = Customer("007", None, counts=True)
    for known, found in (
        ([], ["007"]),
        ([contract("a", "string", "customerID"), contract("b", "integer", "nr")], ["007"]),
        ([contract("a", "integer", "customerID")], ["007", "7"]),
    ):
        [(_, rows)] = CustomerTable(numbered, customer, known).rows()
        assert sorted(row["customerID"] for row in rows) == found
