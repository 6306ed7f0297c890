"""The benchmark's table says missed where it is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.benchmarks.simulation import table


def year(**changes: Any) -> dict[str, Any]:
    summary = {
        "lost": 0.3, "kept": 0.95, "retrainings": 3, "blind_retrainings": 11, "promotions": 1,
        "injected": {"month": 5, "day": "2025-05-01"}, "seen": {"month": 5}, "acted": {"month": 6},
    }  # fmt: skip
    months = [{"month": n, "learned": ["2025-04-01"] if n == 6 else []} for n in range(1, 13)]
    return {"summary": {**summary, **changes}, "alarms": [], "months": months}


def verdicts(scenario: str, *years: dict[str, Any]) -> dict[str, str]:
    return {row[1]: row[-1] for row in table.rows(scenario, years)}


def test_the_median_is_held_to_the_bound_and_the_worst_is_shown() -> None:
    years = [year(kept=0.5), year(kept=0.92), year(kept=1.1)]
    found = next(row for row in table.rows("price-rise", years) if "keeps" in row[1])
    assert found[2:] == ("92 %", "50 %", "at least 90 %", "met")
    assert set(verdicts("price-rise", *years).values()) == {"met", ""}
    assert verdicts("price-rise", year(kept=0.89))[found[1]] == "MISSED"
    assert verdicts("price-rise", year(retrainings=4))["its retrainings, of the blind one's"] == "MISSED"
    assert verdicts("price-rise", year(lost=0.09))["profit lost by never retraining"] == "MISSED"


def test_a_year_in_which_blind_retraining_gained_nothing_has_no_share_of_it() -> None:
    found = next(row for row in table.rows("price-rise", [year(kept=None), year(kept=0.95)]) if "keeps" in row[1])
    assert found[2:4] == ("95 %", "95 %")
    assert verdicts("price-rise", year(kept=None))[found[1]] == ""


@pytest.mark.parametrize(("promotions", "said"), [((0, 1, 1), "met"), ((0, 0, 2), "MISSED")])
def test_in_quiet_every_year_is_held_to_one_promotion(promotions: tuple[int, ...], said: str) -> None:
    assert verdicts("quiet", *(year(promotions=n, injected=None) for n in promotions))["promotions"] == said


def test_in_a_data_bug_nobody_may_learn_from_it_and_everybody_is_warned() -> None:
    assert "MISSED" not in verdicts("data-bug", year()).values()
    assert verdicts("data-bug", year(), year(seen={"month": 6}))["alarm in its own month"] == "MISSED"
    learned = year()
    learned["months"][7]["learned"] = ["2025-04-01", "2025-05-01"]
    assert verdicts("data-bug", year(), learned)["broken months that were learned from"] == "MISSED"
