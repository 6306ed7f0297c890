"""Whatever is wrong with the input: exit code 2, one message with place and remedy, and the champion as it was."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local.runner.warm import INTERPRETERS
from tests.e2e.conftest import Churn, Done, Trained, Within, customers, rows

Table = list[list[str]]
CONTRACT = Path(__file__).resolve().parents[2] / "feature_repo/contracts/telco.yaml"


def write(path: Path, table: Table, delimiter: str = ",") -> Path:
    path.write_text("\n".join(delimiter.join(row) for row in table) + "\n", encoding="utf-8")
    return path


def column(table: Table, name: str, value: Callable[[int, str], str]) -> Table:
    """The table with every value of a column replaced."""
    position = table[0].index(name)
    changed = [[*row[:position], value(i, row[position]), *row[position + 1 :]] for i, row in enumerate(table[1:])]
    return [table[0], *changed]


def without(table: Table, name: str) -> Table:
    position = table[0].index(name)
    return [[*row[:position], *row[position + 1 :]] for row in table]


TABLES: dict[str, tuple[Callable[[Table], Table], tuple[str, ...]]] = {
    "missing column": (lambda t: without(t, "tenure"), ("tenure", "missing")),
    "duplicated column": (lambda t: [[*row, row[5]] for row in t], ("tenure", "twice")),
    "duplicated keys": (lambda t: [*t, *([t[1][0], *row[1:]] for row in t[5:9])], ("customer",)),
    "wrong type in all rows": (lambda t: column(t, "tenure", lambda i, v: "soon"), ("tenure",)),
    "too many rows out of range": (lambda t: column(t, "tenure", lambda i, v: "999" if i % 5 == 0 else v), ("tenure",)),
    "too many unknown categories": (
        lambda t: column(t, "Contract", lambda i, v: "Forever" if i % 5 == 0 else v), ("contract",)
    ),
    "all-null column": (lambda t: column(t, "MonthlyCharges", lambda i, v: ""), ("monthly",)),
    "one class only": (lambda t: column(t, "Churn", lambda i, v: "No"), ("churn",)),
    "fewer rows than folds": (lambda t: t[:9], ("fold",)),
    "header only": (lambda t: t[:1], ("row",)),
    "ragged row": (lambda t: [*t[:50], t[50][:7], *t[51:]], ("line 51",)),
}  # fmt: skip


def refused(done: Done, *says: str) -> None:
    assert done.code == 2, (done.code, done.err)
    assert "Traceback" not in done.err + done.out
    message = done.err.strip().splitlines()[-1].lower()
    for word in says:
        assert word.lower() in message, message
    assert done.json["status"] == "FAILED"
    assert done.json["error"]["problem"]


@pytest.fixture(scope="module")
def within(trained: Trained) -> Iterator[Trained]:
    """The same home, from within this process; its interpreters end with the module."""
    yield replace(trained, churn=Within(trained.churn.home))
    INTERPRETERS.close()


@pytest.fixture
def unchanged(within: Trained) -> Iterator[Trained]:
    """Checks afterwards that nothing which serves has changed, and that nothing half-written lies about."""

    def state() -> tuple[str, list[str]]:
        home = within.churn.home
        bundles = sorted(path.name for path in (home / "objects/bundles").iterdir())
        staged = [path for path in home.rglob("*") if ".staging" in path.parts and path.is_file()]
        assert staged == []
        return (home / "traffic/telco.yaml").read_text(), bundles

    before = state()
    yield within
    assert state() == before


@pytest.mark.parametrize("case", TABLES)
def test_a_table_that_cannot_be_used_is_refused(case: str, unchanged: Trained, tmp_path: Path) -> None:
    change, says = TABLES[case]
    table = write(tmp_path / "customers.csv", change(rows(unchanged.data)))
    refused(unchanged.churn.train(table), *says)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.csv", b"", ("empty",)),
        ("picture.csv", b"\x89PNG\r\n\x1a\n\x00\x00\x00" + bytes(range(256)), ("csv",)),
        ("picture.parquet", b"not parquet at all", ("parquet",)),
        ("latin.csv", "customerID,näme\n1,Zoë\n".encode("latin-1"), ("utf-8",)),
        ("table.xlsx", b"PK\x03\x04", (".xlsx",)),
    ],
)
def test_a_file_that_is_no_table_is_refused(
    name: str, content: bytes, says: tuple[str, ...], unchanged: Trained, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    refused(unchanged.churn.train(tmp_path / name), name, *says)


def test_a_missing_file_is_refused(unchanged: Trained, trained: Trained, tmp_path: Path) -> None:
    for churn in (unchanged.churn, trained.churn):
        refused(churn.train(tmp_path / "absent.csv"), "absent.csv")


def test_the_wrong_delimiter_is_recognised(unchanged: Trained, tmp_path: Path) -> None:
    table = write(tmp_path / "customers.csv", rows(unchanged.data), delimiter=";")
    refused(unchanged.churn.train(table), "customers.csv", ";")


def test_a_leaking_column_is_refused_by_name(unchanged: Trained, tmp_path: Path) -> None:
    table = rows(unchanged.data)
    left = table[0].index("Churn")
    table = [[*row, "refund" if i == 0 else "9" if row[left] == "Yes" else "1"] for i, row in enumerate(table)]
    contract = tmp_path / "leaky.yaml"
    text = CONTRACT.read_text(encoding="utf-8")
    contract.write_text(text.replace("\nderived:\n", "  refund: {type: integer}\n\nderived:\n"), encoding="utf-8")
    done = unchanged.churn.train(write(tmp_path / "customers.csv", table), "--contract", contract)
    refused(done, "refund")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("formula: log1p(tenure)", "formula: log2p(tenure)", ("tenure_log", "log2p", "log1p")),
        ("formula: log1p(tenure)", "formula: log1p(tenor)", ("tenure_log", "tenor", "tenure")),
        ("formula: log1p(tenure)", "formula: monthly_charges / tenure", ("tenure_log", "tenure = 0")),
        ("description: Customers", "descripton: Customers", ("descripton", "description")),
    ],
)
def test_a_contract_with_a_mistake_is_refused(
    old: str, new: str, says: tuple[str, ...], unchanged: Trained, tmp_path: Path
) -> None:
    text = CONTRACT.read_text(encoding="utf-8")
    assert old in text
    contract = tmp_path / "mine.yaml"
    contract.write_text(text.replace(old, new), encoding="utf-8")
    refused(unchanged.churn.train(unchanged.data, "--contract", contract), *says)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--param", "tune_trails=3"), ("tune_trails", "tune_trials")),
        (("--param", "tune_trials=many"), ("tune_trials", "many")),
        (("--param", "resample=yes"), ("resample", "smote")),
        (("--param", "candidates=xgbost"), ("xgbost", "xgboost")),
        (("--param", "folds"), ("name=value",)),
        (("--contract", "telko"), ("telko", "telco")),
        (("--contract", "absent.yaml"), ("absent.yaml",)),
        (("--as-of", "yesterday"), ("yesterday", "--as-of")),
        (("--model", "My Model"), ("My Model",)),
        (("--runner", "magic"), ("magic",)),
        (("--unheard-of",), ("unheard-of",)),
    ],
)
def test_an_option_that_does_not_exist_or_fit_is_refused(
    more: tuple[str, ...], says: tuple[str, ...], unchanged: Trained
) -> None:
    refused(unchanged.churn.train(unchanged.data, *more), *says)


def test_a_few_bad_rows_are_quarantined_and_counted(churn: Churn, tmp_path: Path) -> None:
    table = rows(customers(tmp_path / "customers.csv", 1200))
    spoiled = column(table, "tenure", lambda i, v: "soon" if i % 100 == 0 else v)
    done = churn.train(write(tmp_path / "spoiled.csv", spoiled), "--param", "candidates=logistic-regression")
    assert done.code == 0, done.err
    assert done.json["data"]["rows"] == 1200
    assert done.json["data"]["quarantined"] == 12


@pytest.mark.skipif(
    os.geteuid() == 0 and not Path("/proc").is_dir(), reason="needs /proc, where not even root can write"
)
def test_a_home_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    data = customers(tmp_path / "customers.csv", 50)
    done = Churn(Path("/proc/nowhere")).train(data)
    refused(done, "/proc/nowhere", "CHURN_HOME")


def test_a_port_that_is_taken_is_refused(trained: Trained) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = trained.churn("serve", "--http-port", str(port), "--grpc-port", "0")
    assert done.code == 2
    assert str(port) in done.err
    assert "Traceback" not in done.err


def test_serving_without_a_champion_says_how_to_get_one(churn: Churn) -> None:
    done = churn("serve", "--http-port", "0", "--grpc-port", "0")
    assert done.code == 2
    assert "churn run training" in done.err
