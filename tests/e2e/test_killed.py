"""Kill -9 in the middle of any step: what serves stays, and the next run completes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.e2e.conftest import ROOT, Churn, customers

STEPS = ("ingest", "transform", "train", "materialise", "promote")
"""Those that leave something in a store; the other two only read."""
FAST = ("--param", "candidates=logistic-regression")


def test_a_run_killed_where_it_writes_leaves_a_home_in_which_the_next_one_completes(
    churn: Churn, tmp_path: Path
) -> None:
    data = customers(tmp_path / "customers.csv", 1000)
    for step in STEPS:
        _kill_in(churn, data, step)
        assert not (churn.home / "traffic/telco.yaml").exists(), f"a run killed in {step} switched the traffic"
    done = churn.train(data, *FAST)
    assert done.code == 0, done.err
    assert done.json["promoted"], done.json["reason"]
    listed = churn("models", "list", "--json").json
    assert [one["serves"] for one in listed].count("champion") == 1
    assert {one["digest"] for one in listed} == {done.json["model"]["digest"]}


def _kill_in(churn: Churn, data: Path, step: str) -> None:
    """Starts a run, and kills it with all its children as soon as the step has started to work."""
    command = [*churn.command, "run", "training", "--data", str(data), "--json", *FAST]
    environment = {**churn.env, "PYTHONPATH": str(ROOT)}
    known = _logs(churn, step)
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 600
    while _logs(churn, step) == known:
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


def _logs(churn: Churn, step: str) -> set[Path]:
    return set((churn.home / "runs").glob(f"*/logs/{step}.log"))


def _groups(pid: int) -> set[int]:
    """The process groups of a process and of all that descend from it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = (int(fields[1]), int(fields[2]))
    family, groups = {pid}, {pid}
    for _ in parents:
        more = {child for child, (parent, _) in parents.items() if parent in family} - family
        if not more:
            break
        family |= more
    return groups | {group for child, (_, group) in parents.items() if child in family}


def test_two_runs_at_once_leave_one_champion(churn: Churn, tmp_path: Path) -> None:
    tables = [customers(tmp_path / f"{seed}.csv", 1000, seed) for seed in (1, 2)]
    lenient = tmp_path / "telco.yaml"  # either model may serve: the race alone decides
    telco = (ROOT / "feature_repo/contracts/telco.yaml").read_text(encoding="utf-8")
    lenient.write_text(
        telco.partition("\ngate:")[0] + "\ngate: {metrics: {roc_auc: {min: 0.6}}, ece: 0.5}\n", encoding="utf-8"
    )
    command = [*churn.command, "run", "training", "--json", *FAST, "--contract", str(lenient), "--data"]
    environment = {**churn.env, "PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen(
            [*command, str(table)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for table in tables
    ]
    ended = [(process, *process.communicate(timeout=900)) for process in running]
    assert any(process.returncode == 0 for process, _, _ in ended), [err for _, _, err in ended]
    for process, _, err in ended:
        assert process.returncode in {0, 1, 2}
        assert b"Traceback" not in err
    listed = churn("models", "list", "--json").json
    assert [one["serves"] for one in listed].count("champion") == 1
