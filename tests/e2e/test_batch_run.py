"""`churn run batch` as a person runs it, killed and run again too."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from churn.stores.digests import manifest_of_folder
from tests.e2e.conftest import Churn, customers, rows
from tests.e2e.killing import kill_in

DAY = "2026-06-30"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Customers with two bad rows, and nothing known of who leaves."""
    written = rows(customers(tmp_path / "all.csv", 2000, seed=9))
    outcome, tenure = written[0].index("Churn"), written[0].index("tenure")
    for number in (7, 1500):
        written[number][tenure] = "soon"
    path = tmp_path / "customers.csv"
    path.write_text("\n".join(",".join(row[:outcome] + row[outcome + 1 :]) for row in written) + "\n")
    return path


def run(home: Churn, table: Path, *more: str) -> dict:
    done = home("run", "batch", "--data", table, "--as-of", DAY, "--shards", "3", "--json", *more)
    assert done.code == 0, done.err
    return done.json


def appeared(home: Churn) -> dict[str, str]:
    """Every file that has appeared, with its digest."""
    return manifest_of_folder(home.home / "objects/scores").files


def test_a_batch_run_scores_sets_aside_publishes_and_says_so(home: Churn, table: Path) -> None:
    found = run(home, table, "--reasons")
    assert (found["data"]["rows"], found["data"]["scored"], found["data"]["quarantined"]) == (2000, 1998, 2)
    assert [step["name"].rpartition("/")[2] for step in found["steps"]].count("score") == 3
    folder = Path(found["scores"])
    assert folder == home.home / f"objects/scores/telco/date={DAY}/version=1"
    manifest = json.loads((folder / "_manifest.json").read_bytes())
    scored = [pq.read_table(folder / part["file"], partitioning=None) for part in manifest["parts"]]
    assert scored[0].column_names == ["id", "probability", "decision", "risk", "recommendation", "reasons"]
    assert {len(told) for told in scored[0]["reasons"].to_pylist()} == {3}
    assert "2 " in Path(found["artifacts"]["report"]).read_text()
    assert found["database"] == {"customers": 1998, "written": 1998, "newer": 0, "removed": 0}

    screen = home("run", "batch", "--data", table, "--as-of", "2026-07-31", "--shards", "2")
    assert screen.code == 0, screen.err
    for word in ("2 set aside", "high", "top tenth", DAY, "telco version 1"):
        assert word in screen.out
    for step in ("plan-batch", "score, shard 1", "score, shard 2", "close-batch"):
        assert step in screen.err, "progress is shown"
    assert "1,998 customers written" in " ".join(screen.out.split())
    late = home("run", "batch", "--data", table, "--as-of", DAY, "--json")
    assert late.json["database"] == {"customers": 1998, "written": 0, "newer": 1998, "removed": 0}
    assert "warning: 1,998 customers have scores of a later date" in " ".join(late.err.split())


def test_the_offline_store_is_scored_as_of_a_date(home: Churn) -> None:
    done = home("run", "batch", "--from-store", "--json")
    assert done.code == 0, done.err
    assert done.json["data"]["rows"] == 2500
    assert done.json["data"]["quarantined"] == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--from-store"),
        (("--data", "a.csv", "--from-store"), "--data"),
        (("--data", "/no/such.csv"), "/no/such.csv"),
        (("--from-store", "--as-of", "tomorrow"), "--as-of"),
        (("--from-store", "--model", "unheard-of"), "churn run training"),
        (("--from-store", "--as-of", "2020-01-01"), "has no rows"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(home: Churn, arguments: tuple[str, ...], says: str) -> None:
    done = home("run", "batch", *arguments)
    assert done.code == 2, done.err
    assert says in done.err
    assert "Traceback" not in done.err
    assert not (home.home / "objects/scores").exists()


def test_killed_in_any_step_the_rerun_finishes_the_rest_and_gives_the_same_bytes(home: Churn, table: Path) -> None:
    other = replace(home, home=home.home.parent / "undisturbed")
    shutil.copytree(home.home, other.home)
    run(other, table)
    expected = appeared(other)

    command = ("run", "batch", "--data", table, "--as-of", DAY, "--shards", "3", "--json")
    for step in ("plan-batch", "score", "close-batch"):
        kill_in(home, command, f"*/logs/**/{step}.log")
        complete = any(name.endswith("_manifest.json") for name in _files(home))
        assert not complete or (step == "close-batch" and appeared(home) == expected), f"killed in {step}"
    shards = list((home.home / "objects/batch").rglob("shard-*.json"))
    assert shards or complete, "what was done before the last kill is there, unless it was all done"
    run(home, table)
    assert appeared(home) == expected
    run(home, table)
    assert appeared(home) == expected


def _files(home: Churn) -> list[str]:
    folder = home.home / "objects/scores"
    return [path.name for path in folder.rglob("*")] if folder.exists() else []
