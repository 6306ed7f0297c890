"""What monitoring found, in the words in which people are told of it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from churn.domain.drift.verdict import Bounds, Finding, Group, Judgement
from churn.domain.performance import Interval, Standing
from components.monitor_assemble.facts import Facts
from components.monitor_judge.report import Monitoring
from components.monitor_notify.step import notices
from components.monitor_record.step import Recorded

AS_OF, SINCE = dt.datetime(2026, 3, 2, tzinfo=dt.UTC), dt.datetime(2026, 1, 5, tzinfo=dt.UTC)


def finding(name: str, effect: float = 0.21, *, drifted: bool = True, **changes: Any) -> Finding:
    values: dict[str, Any] = {
        "part": "feature", "name": name, "test": "kolmogorov-smirnov", "p_value": 0.0, "significant": drifted,
        "effect": effect, "drifted": drifted, "psi": 0.2, "band": "moderate", "missing": 0.0, "missing_before": 0.0,
        "mean": 63.2, "mean_before": 54.3,
    }  # fmt: skip
    return Finding(**(values | changes))


def found(*findings: Finding, status: str = "", reason: str = "quiet", standing: tuple[Standing, ...] = ()) -> Recorded:
    drifted = {one.name: SINCE for one in findings if one.drifted}
    facts = Facts(
        model="shop", contract="c" * 64, version=3, digest="d" * 64, threshold=0.5, horizon_days=30,
        since=AS_OF - dt.timedelta(days=30), as_of=AS_OF, trained_to=None, promoted={}, importance={}, bounds=Bounds(),
        traffic=(), rows=5000, foreign=0, nameless=0, gone=0, positive_rate=None, positive_rate_before=0.3,
    )  # fmt: skip
    drift = Judgement(
        status=status or ("drifted" if drifted else "quiet"), reason=reason, rows=5000, judged=5000, reference=5000,
        findings=findings,
    )  # fmt: skip
    short = tuple(f"version {one.version} has AUC {one.now.value:.3f}, {one.promoted:.3f} at promotion"
                  for one in standing if one.worse and one.version == facts.version)  # fmt: skip
    judged = Monitoring(
        facts=facts, drift=drift, periods=(), latest=(), standing=standing, age_days=None, short=short,
        worse=bool(short), reason=reason,
    )  # fmt: skip
    return Recorded(judgement=judged, since=drifted)


def standing(*, worse: bool, version: int = 3) -> Standing:
    return Standing(
        version=version, measure="auc", promoted=0.84, now=Interval(0.7, 0.67, 0.73), margin=0.02, worse=worse
    )


def test_drift_says_what_by_how_much_since_when_and_what_happens_next() -> None:
    groups = (Group("Month-to-month", 0.55, 0.85), Group("Two year", 0.4, 0.15), Group("One year", 0.05, 0.0))
    category = finding("contract", 0.3, test="chi-squared", mean=None, mean_before=None, groups=groups)
    over, drift = notices(found(finding("spend"), category, finding("age", 0.02, drifted=False)), "monitoring")
    assert (over.kind, over.key) == ("recovered", "shop/unjudged")
    assert (drift.kind, drift.key, drift.severity, drift.at) == ("drift", "shop/drift", "warning", AS_OF)
    assert drift.title == "shop: contract and spend have drifted"
    assert drift.lines == (
        "contract by 0.30 (Month-to-month 55 % to 85 %), since 2026-01-05",
        "spend by 0.21 (mean 54.3 to 63.2), since 2026-01-05",
        "Looked at: 5,000 customers of 2026-01-31 to 2026-03-02, version 3; an effect counts from 0.08 on.",
    )
    assert (drift.about, drift.since) == (("contract", "spend"), SINCE)
    assert drift.next.startswith("nothing by itself")


def test_in_the_retraining_pipeline_what_happens_next_is_its_decision() -> None:
    _, drift = notices(found(finding("spend")), "retraining")
    assert drift.next == "this run decides whether to train a new model, and says so"


def test_many_columns_are_counted_and_the_prediction_is_called_that() -> None:
    many = [finding(f"column_{number}", 0.2 - number / 1000) for number in range(25)]
    _, drift = notices(found(finding("probability", 0.9, part="prediction"), *many), "monitoring")
    assert drift.title == "shop: the prediction, column_0, column_1 and 23 more have drifted"
    assert drift.lines[0].startswith("the prediction by 0.90")
    assert drift.lines[-2] == "and 6 columns more"
    assert len(drift.about) == 26


def test_a_quiet_window_ends_what_was_told_of_drift() -> None:
    assert [(one.kind, one.key) for one in notices(found(finding("spend", drifted=False)), "monitoring")] == [
        ("recovered", "shop/unjudged"), ("recovered", "shop/drift"),
    ]  # fmt: skip


def test_a_window_that_was_not_judged_is_told_and_ends_nothing() -> None:
    [one] = notices(
        found(status="unjudged", reason="not judged: the window has 12 rows, and 200 are needed"), "monitoring"
    )
    assert (one.kind, one.key) == ("unjudged", "shop/unjudged")
    assert one.lines == ("Not judged: the window has 12 rows, and 200 are needed.",)


def test_worse_performance_is_critical_and_has_its_figures() -> None:
    *_, worse = notices(found(standing=(standing(worse=True, version=2), standing(worse=True))), "monitoring")
    assert (worse.kind, worse.severity, worse.key) == ("performance", "critical", "shop/performance")
    assert worse.title == "shop: version 3 does worse than at promotion"
    assert worse.lines == (
        "Version 3 has AUC 0.700, 0.840 at promotion.",
        "These are the predictions of 2026-01-03 to 2026-01-31, whose outcomes are known by now.",
    )
    assert worse.about == ("version 3: auc",)


@pytest.mark.parametrize(
    ("known", "kinds"),
    [
        ((standing(worse=False),), ["recovered"]),
        ((), []),
        ((standing(worse=False, version=2),), []),
        ((standing(worse=True, version=2),), []),
        ((standing(worse=True, version=2), standing(worse=False)), ["recovered"]),
    ],
)
def test_performance_is_well_again_only_where_outcomes_say_so(known: tuple[Standing, ...], kinds: list[str]) -> None:
    told = notices(found(standing=known), "monitoring")
    assert [one.kind for one in told if one.key == "shop/performance"] == kinds
