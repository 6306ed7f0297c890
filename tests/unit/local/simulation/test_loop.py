"""Simulated dates are the simulation's own: the clock does not come into it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from local import retraining, training
from local.simulation.loop import Kfp

AHEAD = dt.date(2962, 1, 5)


class _AskedError(Exception):
    pass


def test_a_simulated_date_may_lie_ahead_of_the_clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run(request: training.Request | retraining.Request) -> None:
        raise _AskedError(request.as_of)

    for pipeline in (training, retraining):
        monkeypatch.setattr(pipeline, "run", run)
    executor = Kfp("logistic-regression")
    with pytest.raises(_AskedError, match="2962-01-05"):
        executor.train(tmp_path / "table.parquet", tmp_path / "contract.yaml", AHEAD)
    with pytest.raises(_AskedError, match="2962-01-05"):
        executor.loop("shop", AHEAD)
