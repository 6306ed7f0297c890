"""Kill -9 in the middle of any step: what serves stays, and the next run completes."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.e2e.conftest import ROOT, Churn, customers
from tests.e2e.killing import kill_in

STEPS = ("ingest", "transform", "train", "materialise", "promote")
"""Those that leave something in a store; the other two only read."""
FAST = ("--param", "candidates=logistic-regression")


def test_a_run_killed_where_it_writes_leaves_a_home_in_which_the_next_one_completes(
    churn: Churn, tmp_path: Path
) -> None:
    data = customers(tmp_path / "customers.csv", 1000)
    for step in STEPS:
        kill_in(churn, ("run", "training", "--data", data, "--json", *FAST), f"*/logs/{step}.log")
        switched = (churn.home / "traffic/telco.yaml").exists()
        assert not switched or step == "promote", f"a run killed in {step} switched the traffic"
    done = churn.train(data, *FAST)
    assert done.code == 0, done.err
    assert done.json["promoted"] or switched, done.json["reason"]
    listed = churn("models", "list", "--json").json
    assert [one["serves"] for one in listed].count("champion") == 1
    assert {one["digest"] for one in listed} == {done.json["model"]["digest"]}


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
