"""Small simulated years, through KFP and step by step: they come to the same, and a bug in the data to nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from local.simulation import run
from local.simulation.request import Request
from local.simulation.run import Year

SMALL: dict[str, Any] = {"months": 2, "seed": 3, "customers": 3_000}


@pytest.fixture(scope="module")
def years(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Year]:
    """Two months after a rise of prices, by each executor."""
    folder = tmp_path_factory.mktemp("years")
    asked = {
        name: Request.parse("price-rise@1", **SMALL, out=str(folder / name), executor=name)
        for name in ("kfp", "direct")
    }
    return {name: run.run(replace(one, candidates="logistic-regression")) for name, one in asked.items()}


def test_a_rise_of_prices_is_seen_in_its_month_and_answered_when_its_outcomes_are_known(years: dict[str, Year]) -> None:
    found = years["kfp"]
    first, second = found.months
    assert (first.version, first.retrained) == (1, False)
    assert "monthly_charges" in first.monitoring
    assert first.because.startswith("not retrained: ")
    assert (second.version, second.retrained) == (1, True)
    assert second.because.startswith("version 1 has ")
    assert "than version 1" in second.reason or "to version 1" in second.reason
    promotes = [task.rpartition("/")[2] for task in second.tasks].count("promote")
    assert (second.outcome, second.promoted) == (("promoted", 2) if promotes else ("refused", None))
    assert (found.summary.retrainings, found.summary.promotions, found.summary.blind_retrainings) == (1, promotes, 1)
    assert found.summary.seen is not None
    assert found.summary.seen.month == 1
    assert (found.summary.acted is not None) == bool(promotes)
    assert len(set(found.tasks)) == len(found.tasks)


def test_both_executors_come_to_the_same_decisions_and_figures(years: dict[str, Year]) -> None:
    through_kfp, direct = years["kfp"], years["direct"]
    for one, other in zip(through_kfp.months, direct.months, strict=True):
        for name in (
            "day",
            "leavers",
            "version",
            "scores",
            "retrained",
            "outcome",
            "promoted",
            "monitoring",
            "because",
        ):
            assert getattr(one, name) == getattr(other, name), name
    assert direct.summary == through_kfp.summary
    assert direct.alarms == through_kfp.alarms


def test_a_bug_in_the_data_raises_an_alarm_and_is_never_trained_on(tmp_path: Path) -> None:
    asked = Request.parse("data-bug@2", **SMALL, out=str(tmp_path / "year"), executor="direct")
    found = run.run(asked)
    sound, broken = found.months
    assert (sound.refused, broken.refused) == (0, 0), "no value is one that cannot be"
    (alarm,) = (one for one in found.alarms if one.month == 2)
    assert (alarm.kind, "tenure looks broken (mean 3." in alarm.text) == ("drift", True)
    assert (broken.retrained, broken.learned) == (False, ())
    assert broken.because.startswith("not retrained: tenure (mean 3.")
    assert "looks like a fault of the data: mend the source" in broken.because
    assert found.summary.promotions == 0


def test_a_year_that_is_interrupted_leaves_nothing_behind(tmp_path: Path) -> None:
    out = tmp_path / "year"
    command = [sys.executable, "-m", "local.main", "simulate", "--scenario", "quiet", "--out", str(out), "--json"]
    interruptible = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # tests in the background ignore it
    process = subprocess.Popen(
        [*command, "--customers", "2000", "--executor", "direct"],
        stdout=subprocess.PIPE,
        preexec_fn=interruptible,  # noqa: PLW1509 - it calls no more than the system
    )
    deadline = time.monotonic() + 60
    while not (out / "home" / "simulation" / "history.parquet").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told == b""
    assert not out.exists()
