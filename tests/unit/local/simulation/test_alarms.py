"""What people are told of in a simulated month."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from churn.stores.settings import Settings
from local.simulation.alarms import alarms
from local.simulation.terms import terms

DAY = dt.date(2025, 5, 4)


@pytest.mark.parametrize(
    ("refused", "monitoring", "kinds"),
    [
        (0.0, {"status": "quiet", "worse": False}, []),
        (0.05, {"status": "quiet", "worse": False}, []),
        (0.06, {"status": "quiet", "worse": False}, ["refused rows"]),
        (1.0, {"status": "unjudged", "worse": False}, ["refused rows", "unjudged"]),
        (0.0, {"status": "drifted", "worse": True}, ["drift"]),
        (0.0, {"status": "quiet", "worse": True}, ["performance"]),
    ],
)
def test_each_reason_is_an_alarm(tmp_path: Path, refused: float, monitoring: dict[str, Any], kinds: list[str]) -> None:
    contract = terms(Settings.load({"CHURN_HOME": str(tmp_path)}))
    found = alarms(5, DAY, refused, {"reason": "why", **monitoring}, contract)
    assert [one.kind for one in found] == kinds
    assert all((one.month, one.day) == (5, DAY) for one in found)
