"""How a run ended, in the words in which people are told of it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from churn.stores.retrainings import Retraining
from components.notify.step import Ended, notices

NOW = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)


def ended(**changes: Any) -> Ended:
    values: dict[str, Any] = {"model": "shop", "pipeline": "retraining", "run": "run-1", "state": "SUCCEEDED"}
    return Ended(**(values | changes))


def decided(outcome: Any, **changes: Any) -> Retraining:
    values: dict[str, Any] = {
        "model": "shop", "as_of": NOW, "run": "run-1", "version": 4, "retrain": outcome != "none",
        "because": "spend drifted by 0.21", "outcome": outcome, "reason": "", "new_version": None,
    }  # fmt: skip
    return Retraining(**(values | changes))


@pytest.mark.parametrize(
    ("known", "title", "after", "severity"),
    [
        (decided("none"), "shop: not retrained", "version 4 goes on serving", "info"),
        (
            decided("promoted", reason="promoted: profit 9.1, 8.2 before", new_version=5),
            "shop: retrained, version 5 is the champion", "predictors take it over by themselves", "info",
        ),
        (
            decided("challenger", new_version=5), "shop: retrained, version 5 is the challenger",
            "it answers its share of the customers until the rollout is decided", "info",
        ),
        (
            decided("refused", reason="the gate refused it"), "shop: retrained, and refused by the gate",
            "version 4 goes on serving", "warning",
        ),
    ],
)  # fmt: skip
def test_success_says_what_came_of_it_why_and_what_happens_next(
    known: Retraining, title: str, after: str, severity: str
) -> None:
    over, told = notices(ended(), known, NOW)
    assert (over.kind, over.key) == ("recovered", "shop/failure/retraining")
    assert (told.kind, told.key, told.title, told.next, told.severity) == (
        "retraining", "shop/retraining", title, after, severity,
    )  # fmt: skip
    assert told.lines[0] == "Spend drifted by 0.21."
    assert len(told.lines) == (2 if known.reason else 1)


def test_another_version_is_always_news() -> None:
    about = {notices(ended(), decided("promoted", new_version=number), NOW)[1].about for number in (5, 6)}
    assert about == {("version 5",), ("version 6",)}


@pytest.mark.parametrize("state", ["FAILED", "CANCELED", "CANCELLED"])
def test_failure_is_critical_and_names_the_run_and_what_it_had_begun(state: str) -> None:
    [told] = notices(ended(state=state, as_of="2026-03-01"), decided("running"), NOW)
    assert (told.kind, told.severity, told.key) == ("failure", "critical", "shop/failure/retraining")
    assert told.title == "shop: retraining failed"
    assert told.lines == (
        f"Run run-1 did not come to its end ({state}); its last step's log says why.",
        "It was run as of 2026-03-01.",
        "It had begun to retrain: spend drifted by 0.21.",
    )


@pytest.mark.parametrize("state", ["SUCCEEDED", "COMPLETE", "RUNNING"])
def test_a_run_that_has_concluded_is_well_whatever_a_cluster_calls_it(state: str) -> None:
    assert notices(ended(state=state), decided("none"), NOW)[-1].kind == "retraining"


@pytest.mark.parametrize(("state", "known"), [("RUNNING", None), ("COMPLETE", decided("running"))])
def test_a_run_that_has_decided_nothing_or_not_concluded_has_failed(state: str, known: Retraining | None) -> None:
    assert [one.kind for one in notices(ended(state=state), known, NOW)] == ["failure"]


def test_of_another_pipeline_only_failure_is_told_and_that_it_is_over() -> None:
    assert [one.kind for one in notices(ended(pipeline="batch", state="RUNNING"), None, NOW)] == ["recovered"]
    [told] = notices(ended(pipeline="batch", state="FAILED"), None, NOW)
    assert told.key == "shop/failure/batch"
