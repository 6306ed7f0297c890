"""What tuning remembers when its process is killed, when two run at once, and where trials lie in PostgreSQL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from churn.stores import database
from churn.stores.settings import Settings
from components.train import estimators
from components.train.estimators import Balance
from components.train.selection import Folds
from tests import training
from tests.servers import postgres_server
from tests.unit.components.train.test_tuning import trials, tune


@pytest.fixture(autouse=True)
def steady() -> Iterator[None]:
    with estimators.steady():
        yield


@pytest.fixture(scope="module")
def folds() -> Folds:
    data = training.generated(600)
    return Folds(data.contract, data.rows, Balance())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({"CHURN_HOME": str(tmp_path)})


SEARCH = """
import json, sys
from churn.stores.settings import Settings
from components.train import estimators, tuning
from components.train.estimators import Balance
from components.train.selection import Folds
from components.train.tuning import Tuning
from tests import training
from tests.unit.components.train.test_tuning import TUNED
data = training.generated(600)
with estimators.steady():
    folds = Folds(data.contract, data.rows, Balance())
    asked = Tuning(trials=int(sys.argv[1]))
    (found,) = tuning.tuned(Settings.load(), folds, [TUNED], asked, lambda line: print(line, flush=True))
print(json.dumps(found.params))
"""


def test_a_search_that_was_killed_goes_on_where_it_stopped(settings: Settings, folds: Folds) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SEARCH, "500"], cwd=training.ROOT, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "CHURN_HOME": str(settings.home)},
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            if "trial 3 of 500" in line:
                process.send_signal(signal.SIGKILL)
    before = [
        one for one in trials(settings, folds, trials=500) if one.state.is_finished() and one.state.name != "FAIL"
    ]
    assert 3 <= len(before) < 500
    _, said = tune(settings, folds, trials=len(before) + 1)
    assert said[0] == f"logistic: {len(before)} trials are remembered"
    assert len(said) == 2


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_server() as url:
        yield url


def test_trials_are_remembered_in_postgresql_beside_our_own_tables(postgres: str, folds: Folds, tmp_path: Path) -> None:
    def machine(name: str) -> Settings:
        return Settings.load({"CHURN_HOME": str(tmp_path / name), "CHURN_DATABASE": postgres})

    best, _ = tune(machine("one"), folds, trials=3)
    database.migrate(postgres)
    again, said = tune(machine("two"), folds, trials=3)
    assert again == best
    assert said == ["logistic: 3 trials are remembered"]
    assert not (tmp_path / "one").exists()


def test_two_searches_at_once_take_turns_and_share_their_trials(settings: Settings, folds: Folds) -> None:
    env = {**os.environ, "CHURN_HOME": str(settings.home)}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", SEARCH, "4"], cwd=training.ROOT, stdout=subprocess.PIPE, text=True, env=env
        )
        for _ in range(2)
    ]
    lines = [process.communicate()[0].splitlines() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert json.loads(lines[0][-1]) == json.loads(lines[1][-1])
    assert sum("trial " in line for one in lines for line in one) == 4
    assert len(trials(settings, folds, trials=4)) == 4
