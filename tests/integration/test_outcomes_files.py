"""`churn outcomes load`: tables as people have them, and what is wrong with their rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from churn.domain.synthetic.population import Population
from churn.stores import outcomes
from churn.stores.prediction_log.pseudonyms import Pseudonyms
from churn.stores.settings import Settings
from local import main
from tests.bundles import publish, settings_of, shop

Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command with these lines of a CSV file."""
    monkeypatch.setenv("CHURN_HOME", str(tmp_path / "home"))

    def run(*lines: str, as_of: str = "2026-06-01", model: str = "") -> tuple[int, dict[str, Any]]:
        file = tmp_path / "outcomes.csv"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        code = main._run(["outcomes", "load", str(file), "--as-of", as_of, "--model", model, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


def stored(home: Path) -> dict[bytes, tuple[str | None, str]]:
    settings = Settings.load({"CHURN_HOME": str(home)})
    rows = outcomes.read(settings.database, "telco").to_pylist()
    days = [(row["left_at"] and str(row["left_at"].date()), str(row["known_until"].date())) for row in rows]
    return dict(zip([row["customer"] for row in rows], days, strict=True))


def test_leavers_and_stayers_are_loaded_under_the_pseudonyms_of_the_log(run: Run, tmp_path: Path) -> None:
    code, done = run("customerID,left_at,known_until", "ann,2026-04-02T10:00:00Z,2026-05-01", " bob ,,2026-05-01")
    assert (code, done["rows"], done["loaded"]["new"], done["set_aside"]) == (0, 2, 2, {})
    names = Pseudonyms.load(tmp_path / "home" / "keys" / "log")
    assert stored(tmp_path / "home") == {
        names.pseudonym("ann"): ("2026-04-02", "2026-05-01"),
        names.pseudonym("bob"): (None, "2026-05-01"),
    }


def test_another_key_than_the_logs_is_refused_and_nothing_loaded(run: Run, tmp_path: Path) -> None:
    table = ("customerID,left_at,known_until", "ann,,2026-05-01")
    assert run(*table)[0] == 0
    before = stored(tmp_path / "home")
    key = tmp_path / "home/keys/log"
    key.unlink()
    assert "there is no key" in run(*table)[1]["error"]["problem"]
    Pseudonyms.load(key)
    code, done = run(*table)
    assert (code, stored(tmp_path / "home")) == (2, before)
    assert "is not the key" in done["error"]["problem"]


def test_what_the_contract_calls_its_target_says_who_left(run: Run, tmp_path: Path) -> None:
    code, done = run("customerID,outcome_date,Churn", "ann,2026-05-01,Yes", "bob,2026-05-01,No", "cat,2026-05-01,maybe")
    assert (code, done["loaded"]["new"]) == (0, 2)
    assert done["set_aside"] == {"is no outcome that the contract knows": 1}
    assert sorted(stored(tmp_path / "home").values(), key=str) == [
        ("2026-05-01", "2026-05-01"),
        (None, "2026-05-01"),
    ]  # fmt: skip


def test_rows_that_cannot_be_are_set_aside_counted_and_found_again(run: Run) -> None:
    code, done = run(
        "customerID,left_at,known_until",
        "ann,,2026-05-01",
        ",,2026-05-01",
        "bob,,",
        "cat,yesterday,2026-05-01",
        "dan,2026-05-02,2026-05-01",
        "eve,,2026-06-02",
        "fay,,2026-06-03",
    )
    assert (code, done["rows"], done["loaded"]["customers"]) == (0, 7, 1)
    assert done["set_aside"] == {
        "names no customer": 1,
        "has no time until which the outcome is known": 1,
        "left_at is no date or time": 1,
        "left after the time until which it is known": 1,
        "is known until a time that has not come: a clock is wrong": 2,
    }
    assert done["first"]["is known until a time that has not come: a clock is wrong"] == 6


def test_a_table_without_one_good_row_is_refused(run: Run, tmp_path: Path) -> None:
    code, done = run("customerID,left_at,known_until", "ann,,2027-01-01")
    assert code == 2
    assert "a clock is wrong" in done["error"]["problem"]
    assert stored(tmp_path / "home") == {}


@pytest.mark.parametrize(("header", "lacking"), [
    ("customer,left_at,known_until", "customerID"), ("customerID,left_at", "known_until"),
    ("customerID,known_until", "Churn"),
])  # fmt: skip
def test_a_table_that_lacks_a_column_is_refused(run: Run, header: str, lacking: str) -> None:
    code, done = run(header, ",".join(["ann", "2026-05-01", "2026-05-01"][: header.count(",") + 1]))
    assert code == 2
    assert lacking in done["error"]["problem"]


def test_a_table_with_a_column_twice_is_refused(run: Run) -> None:
    code, done = run("customerID,left_at,known_until,left_at", "ann,,2026-05-01,")
    assert code == 2
    assert "the column 'left_at' stands twice" in done["error"]["problem"]


def test_a_models_own_contract_names_the_columns(run: Run, tmp_path: Path) -> None:
    home = settings_of(tmp_path / "home")
    publish(home, shop())
    code, done = run("Kunde,gone,known_until", "ann,yes,2026-05-01", model="shop")
    assert (code, done["loaded"]["new"]) == (0, 1)
    assert outcomes.read(home.database, "shop").num_rows == 1


def test_without_a_champion_there_is_no_contract_of_the_models_own(run: Run) -> None:
    code, done = run("customerID,left_at,known_until", "ann,,2026-05-01", model="shop")
    assert code == 2
    assert "--contract" in done["error"]["remedy"]


def test_a_table_of_strangers_is_warned_about(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("customerID,left_at,known_until", "ann,,2026-05-01")
    assert main._run(["outcomes", "load", str(tmp_path / "outcomes.csv")]) == 0
    assert "nobody of this table is in the prediction log" in " ".join(capsys.readouterr().err.split())


def test_an_empty_table_is_no_harm(run: Run) -> None:
    code, done = run("customerID,left_at,known_until")
    assert (code, done["rows"], done["loaded"]["new"]) == (0, 0, 0)


def test_a_file_that_is_not_there_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main._run(["outcomes", "load", "/nowhere/outcomes.csv", "--json"]) == 2
    assert "/nowhere/outcomes.csv" in capsys.readouterr().out


def test_the_outcomes_of_a_generated_month_are_loaded_as_they_are(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    month = Population(500, seed=3)
    pq.write_table(month.outcomes(), tmp_path / "month.parquet")
    assert main._run(["outcomes", "load", str(tmp_path / "month.parquet"), "--as-of", "2025-02-01"]) == 0
    assert f"{month.outcomes().num_rows} new" in capsys.readouterr().out.replace("\n", " ")
