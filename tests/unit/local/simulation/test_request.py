"""A simulation that cannot be is refused before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from churn.domain.errors import UserError
from local.simulation.request import Request

USUAL: dict[str, Any] = {"scenario": "quiet", "months": 12, "seed": 1, "customers": 2000}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scenario": "price-fall"}, "the drift 'price-fall' is not known"),
        ({"scenario": "price-rise", "months": 4}, "a change begins in month 5, after the last"),
        ({"months": 0}, "0 months are no year"),
        ({"seed": -1}, "the seed -1 is negative"),
        ({"customers": 999}, "of 999 customers too few leave in a month"),
        ({"executor": "kf"}, "there is no executor 'kf'"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        Request.parse(**{**USUAL, "out": str(tmp_path / "year"), **changes})


def test_a_folder_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is there already"):
        Request.parse(**USUAL, out=str(tmp_path))


def test_without_a_folder_there_is_one_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_HOME", str(tmp_path))
    place = Request.parse("tenure+0.3@2", months=3, seed=4, customers=2000).out
    assert place.parent == tmp_path / "simulations"
    assert place.name.startswith("tenure-0.3-2-4-")
