"""A simulation keeps to its own home."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from churn.stores.prediction_log.pseudonyms import Pseudonyms
from local.simulation.home import fresh


def test_nothing_reaches_the_real_stores_and_all_is_as_before_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = {
        "CHURN_HOME": str(tmp_path / "real"), "CHURN_DATABASE": "postgresql://db/churn", "CHURN_LOG_KEY": "/keys/log",
        "CHURN_DRIFT_EFFECT": "0.1",
    }  # fmt: skip
    for name, value in real.items():
        monkeypatch.setenv(name, value)
    with suppress(RuntimeError), fresh(tmp_path / "year", seed=1) as settings:
        assert settings.home == tmp_path / "year"
        assert settings.database == f"sqlite:///{tmp_path}/year/churn.db"
        assert "CHURN_LOG_KEY" not in os.environ
        assert os.environ["CHURN_DRIFT_EFFECT"] == "0.1"
        os.environ["CHURN_RETRAIN_ROWS"] = "7"
        raise RuntimeError
    assert {name: value for name, value in os.environ.items() if name in real} == real
    assert "CHURN_RETRAIN_ROWS" not in os.environ


def test_the_same_seed_gives_customers_the_same_names(tmp_path: Path) -> None:
    keys = []
    for number, seed in enumerate((1, 1, 2)):
        with fresh(tmp_path / str(number), seed) as settings:
            keys.append(Pseudonyms.load(settings.home / "keys" / "log").pseudonym("7590-VHVEG"))
    assert keys[0] == keys[1] != keys[2]
