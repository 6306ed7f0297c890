"""`churn run batch` as a person runs it, killed and run again too."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from churn.stores.digests import manifest_of_folder
from tests.e2e.conftest import ROOT, Churn, Trained, customers, rows

pytestmark = pytest.mark.xdist_group("trained")

DAY = "2026-06-30"


@pytest.fixture
def home(trained: Trained, tmp_path: Path) -> Churn:
    """A copy of a home with a champion: what a run leaves there is nobody else's."""
    shutil.copytree(trained.churn.home, tmp_path / "home", ignore=shutil.ignore_patterns("runs", "reports"))
    for document in (tmp_path / "home/traffic").glob("*.yaml"):
        document.write_text(document.read_text().replace(str(trained.churn.home), str(tmp_path / "home")))
    return replace(trained.churn, home=tmp_path / "home")


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
    assert found["database"]["customers"] == 1998

    screen = home("run", "batch", "--data", table, "--as-of", "2026-07-31", "--shards", "2")
    assert screen.code == 0, screen.err
    for word in ("2 set aside", "high", "top tenth", DAY, "telco version 1"):
        assert word in screen.out
    for step in ("plan-batch", "score, shard 1", "score, shard 2", "close-batch"):
        assert step in screen.err, "progress is shown"


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

    for step in ("plan-batch", "score", "close-batch"):
        _kill_in(home, table, step)
        assert not any(name.endswith("_manifest.json") for name in _files(home)), f"killed in {step}, it is complete"
    kept = {path.name: path.stat().st_mtime_ns for path in (home.home / "objects/batch").rglob("shard-*.json")}
    assert kept, "shards that were done before the kill"
    run(home, table)
    assert appeared(home) == expected
    run(home, table)
    assert appeared(home) == expected


def _files(home: Churn) -> list[str]:
    folder = home.home / "objects/scores"
    return [path.name for path in folder.rglob("*")] if folder.exists() else []


def _kill_in(home: Churn, table: Path, step: str) -> None:
    """Starts a run, and kills it with all its children as soon as the step has started to work."""
    from tests.e2e.test_killed import _groups

    command = [*home.command, "run", "batch", "--data", str(table), "--as-of", DAY, "--shards", "3", "--json"]
    known = _logs(home, step)
    process = subprocess.Popen(
        command, cwd=ROOT, env={**home.env, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 240
    while _logs(home, step) == known:
        assert process.poll() is None, f"the run ended before {step}"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.3)
    for group in _groups(process.pid):
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait(10)
    assert process.returncode == -signal.SIGKILL


def _logs(home: Churn, step: str) -> set[Path]:
    return set((home.home / "runs").glob(f"*/logs/**/{step}.log"))
