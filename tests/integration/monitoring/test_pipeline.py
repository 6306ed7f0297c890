"""The pipeline as people run it: each step in the environment of its role, alibi-detect in its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from kfp import compiler

from components.monitor_assemble.step import Asked, assemble
from components.monitor_judge.step import judge
from local import main
from local.runner.environments import PROJECT, Environments
from pipelines.monitoring import monitoring
from tests.integration.monitoring.conftest import files_of, inputs_of
from tests.monitored import AS_OF, DAY, Shop
from tests.receivers import slack_receiver

ALIBI = """
import sys
from pathlib import Path
import numpy
from components.files import write_json
from components.monitor_judge import alibi
from components.monitor_judge.step import Inputs, judge
assert numpy.__version__.startswith("1.")
names = ("contract.yaml", "reference.parquet", "window.parquet", "predictions.parquet", "facts.json")
for folder in map(Path, sys.argv[1:]):
    write_json(folder / "judgement.json", judge(Inputs(*(folder / name for name in names)), alibi.p_values))
assert not any(name.startswith(("churn.stores", "sqlalchemy", "feast", "mlflow", "kfp")) for name in sys.modules)
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(shop: Shop, *options: str) -> tuple[int, dict[str, Any]]:
        monkeypatch.setenv("CHURN_HOME", str(shop.settings.home))
        code = main._run(["run", "monitoring", "--model", "shop", "--as-of", AS_OF.isoformat(), *options, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


def test_a_drifted_window_is_judged_by_alibi_detect_and_written_down(tmp_path: Path, run: Any) -> None:
    shop = Shop.open(tmp_path / "home")
    shop.log(800, AS_OF, shift=100.0)
    code, done = run(shop)
    assert (code, done["status"], done["worse"]) == (0, "drifted", False)
    assert done["reason"].startswith("drifted: spend by 0.")
    assert set(done["since"]) == {one["name"] for one in done["judgement"]["drift"]["findings"] if one["drifted"]}
    page = Path(done["artifacts"]["report"]).read_text(encoding="utf-8")
    assert "Something has drifted" in page
    metrics = (shop.settings.home / "metrics" / "shop.prom").read_text()
    assert 'churn_drifted{model="shop",part="feature",column="spend"} 1.0' in metrics
    assert {"monitor-judge.judgement", "monitor-record.page"} <= set(done["artifacts"])
    assert done["told"] == "nobody was told: CHURN_NOTICES names no channels"


def test_who_is_to_know_is_told_of_drift_once_and_when_it_is_over(
    tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop.open(tmp_path / "home")
    with slack_receiver() as receiver:
        (tmp_path / "slack").write_text(receiver.address)
        (tmp_path / "notices.yaml").write_text("channels: [{name: team, kind: slack, webhook: {file: slack}}]")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("CHURN_NOTICES", "notices.yaml")
        shop.log(800, AS_OF, shift=100.0)
        assert run(shop)[1]["told"] == "told: team"
        assert run(shop)[1]["told"] == "nobody was told; nothing new"
        shop.log(800, AS_OF + 40 * DAY)
        later = (AS_OF + 40 * DAY).isoformat()
        assert run(shop, "--as-of", later)[1]["told"] == "told: team"
    begun, over = (one["blocks"][1]["text"]["text"] for one in receiver.came)
    assert "spend by 0." in begun
    assert "since 2026-03-02\n" in begun
    assert over.startswith("Since 2026-03-02 00:00 UTC, until 2026-04-11 00:00 UTC")


def test_a_fault_in_the_channels_is_told_before_anything_starts(
    tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notices.yaml").write_text("channels: [{name: team, kind: slack, webhook: {file: nowhere}}]")
    monkeypatch.setenv("CHURN_NOTICES", str(tmp_path / "notices.yaml"))
    shop = Shop.open(tmp_path / "home")
    code, done = run(shop)
    assert code == 2
    assert "notices.yaml: team" in done["error"]["where"]
    assert not (shop.settings.home / "runs").exists()


def test_a_model_without_a_champion_is_the_users_fault(tmp_path: Path, run: Any) -> None:
    code, done = run(Shop.open(tmp_path / "home"), "--model", "other")
    assert code == 2
    assert "has no champion" in done["error"]["problem"]


@pytest.mark.parametrize("options", [["--runner", "spark"], ["--as-of", "soon"]])
def test_what_cannot_be_asked_is_refused_before_anything_starts(tmp_path: Path, run: Any, options: list[str]) -> None:
    code, done = run(Shop.open(tmp_path / "home"), *options)
    assert code == 2
    assert done["error"]["where"] == options[0]


def test_alibi_detect_and_our_own_tests_agree_on_real_windows(tmp_path: Path) -> None:
    """The same code judges both; the tests differ, and must not."""
    shop = Shop.open(tmp_path / "home")
    windows = {"quiet": (AS_OF, 0.0), "shifted": (AS_OF - 60 * DAY, 40.0), "far": (AS_OF - 120 * DAY, 200.0)}
    for name, (at, shift) in windows.items():
        shop.log(1000, at, shift=shift)
        assemble(shop.settings, Asked("shop", at, days=10), files_of(tmp_path / name))
    folders = [str(tmp_path / name) for name in windows]
    python = str(Environments().python("monitoring"))
    subprocess.run([python, "-c", ALIBI, *folders], cwd=PROJECT, check=True, env={"PYTHONPATH": str(PROJECT)})
    for name in windows:
        theirs = json.loads((tmp_path / name / "judgement.json").read_bytes())["drift"]
        ours = json.loads(msgspec.json.encode(judge(inputs_of(tmp_path / name)).drift))
        assert theirs["status"] == ours["status"]
        for one, other in zip(theirs["findings"], ours["findings"], strict=True):
            assert one.pop("p_value") == pytest.approx(other.pop("p_value"), abs=0.02)
            assert one.keys() == other.keys()
            assert (one["drifted"], one["effect"]) == (other["drifted"], pytest.approx(other["effect"]))
    assert [json.loads((tmp_path / name / "judgement.json").read_bytes())["drift"]["status"] for name in windows] == [
        "quiet", "drifted", "drifted",
    ]  # fmt: skip


def test_the_pipeline_compiles_and_judges_in_the_monitoring_image(tmp_path: Path) -> None:
    compiler.Compiler().compile(monitoring, str(tmp_path / "monitoring.yaml"))
    package = yaml.safe_load((tmp_path / "monitoring.yaml").read_text())
    images = {name: one["container"]["image"] for name, one in package["deploymentSpec"]["executors"].items()}
    assert images == {
        "exec-monitor-assemble": "churn/data-processing:dev",
        "exec-monitor-judge": "churn/monitoring:dev",
        "exec-monitor-notify": "churn/data-processing:dev",
        "exec-monitor-record": "churn/data-processing:dev",
    }
