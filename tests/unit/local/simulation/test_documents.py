"""The year's documents."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from churn.domain.contract import Costs
from local import screen
from local.simulation import documents, report
from local.simulation.accounts import Alarm, summary
from local.simulation.run import Year
from tests.unit.local.simulation.test_accounts import month

PNG = b"\x89PNG\r\n\x1a\n"


def year(scenario: str = "price-rise@2", begins: int | None = 2) -> Year:
    months = [
        month(1, (10, 10, 10)),
        month(2, (5, 20, 5), retrained=True, promoted=2, because="drifted: <b>tenure</b>", reason="promoted: better"),
        month(3, (5, 40, 38), refused=3),
    ]
    alarms = [Alarm(2, dt.date(2025, 2, 4), "drift", "drifted: <b>tenure</b>")]
    return Year(
        scenario=scenario, seed=3, customers=1000, candidates="xgboost", executor="kfp", costs=Costs(),
        months=tuple(months),
        summary=summary(months, alarms, begins, 1), alarms=tuple(alarms),
        tasks=("training-1/ingest", "retraining-2/decide"), seconds=12.3,
    )  # fmt: skip


def test_picture_page_and_json_are_whole_and_say_the_same(tmp_path: Path) -> None:
    done = documents.written(year(), tmp_path)
    assert Path(done.artifacts["picture"]).read_bytes().startswith(PNG)
    assert msgspec.json.decode(Path(done.artifacts["json"]).read_bytes(), type=Year) == done
    page = Path(done.artifacts["page"]).read_text(encoding="utf-8")
    assert "drifted: &lt;b&gt;tenure" in page
    assert "<b>tenure" not in page
    assert "64 % less than with blind retraining" not in page
    assert "71 % less than with blind retraining" in page
    assert "retraining-2/decide" in page
    assert "<script" not in page
    assert sorted(file.name for file in tmp_path.iterdir()) == ["home", "year.html", "year.json", "year.png"]


def test_the_screen_says_when_it_was_seen_and_what_it_was_worth(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    monkeypatch.setattr(screen, "out", Console(file=told, width=160))
    report.show(year())
    text = told.getvalue()
    assert "injected    1 February (month 2)" in text
    assert "acted upon  4 February (month 2)" in text
    assert "never retraining costs 71 % of the profit that blind retraining makes; this one has 66 %" in text
    assert "2, from training-1/ingest to retraining-2/decide" in text
    assert "retrained: version 2" in text


def test_of_a_quiet_year_nobody_says_what_chance_has_cost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = io.StringIO()
    monkeypatch.setattr(screen, "out", Console(file=told, width=160))
    quiet = year("quiet", begins=None)
    report.show(quiet)
    assert "nothing changed: in what the three differ is chance" in told.getvalue()
    assert "less than with blind" not in Path(documents.written(quiet, tmp_path).artifacts["page"]).read_text("utf-8")
