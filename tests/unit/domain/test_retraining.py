"""Each branch of the decision, and its sentence."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest

from churn.domain.drift.faults import Fault
from churn.domain.drift.verdict import Finding
from churn.domain.retraining import Bounds, Labelled, Situation, Window, decide, faulty

MARCH = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
EARLIEST = MARCH - 120 * DAY


def finding(name: str = "spend", **changes: Any) -> Finding:
    """A number that has drifted a little."""
    known: dict[str, Any] = {
        "part": "feature", "name": name, "test": "kolmogorov-smirnov", "p_value": 0.001, "significant": True,
        "effect": 0.2, "drifted": True, "psi": 0.2, "band": "moderate", "missing": 0.0, "missing_before": 0.0,
        "mean": 66.0, "mean_before": 60.0,
    }  # fmt: skip
    return Finding(**{**known, **changes})


STILL = finding("visits", drifted=False, significant=False, effect=0.01)


def labelled(rows: int, days_ago: float, leavers: int = 200) -> Labelled:
    """Predictions a second apart up to a day so long before March."""
    end = round((MARCH - days_ago * DAY).timestamp() * 1e6)
    return Labelled(end - np.arange(rows)[::-1] * 1_000_000, np.arange(rows) < leavers)


def together(*parts: Labelled) -> Labelled:
    return Labelled(np.concatenate([one.at for one in parts]), np.concatenate([one.left for one in parts]))


def situation(**changes: Any) -> Situation:
    """All is quiet, and there would be plenty to train on."""
    known: dict[str, Any] = {
        "quiet": "quiet: nothing has drifted", "findings": (STILL,), "importance": {"spend": 0.03, "visits": 0.01},
        "since": {}, "window_days": 30, "short": (), "age_days": 40.0, "labelled": labelled(2000, 35),
        "learned_to": MARCH - 60 * DAY, "earliest": EARLIEST,
    }  # fmt: skip
    return Situation(**{**known, **changes})


def test_where_nothing_has_changed_nothing_is_trained() -> None:
    found = decide(situation())
    assert (found.retrain, found.cause, found.since) == (False, None, None)
    assert found.because == "not retrained: quiet: nothing has drifted"


def test_a_window_that_was_not_judged_says_so() -> None:
    found = decide(situation(quiet="not judged: the window has 20 rows, and 200 are needed", findings=()))
    assert not found.retrain
    assert found.because == "not retrained: not judged: the window has 20 rows, and 200 are needed"


def test_a_column_that_matters_has_drifted() -> None:
    found = decide(situation(findings=(finding(), STILL)))
    assert (found.retrain, found.cause, found.since) == (True, "drift", EARLIEST)
    assert found.because == "drifted: spend by 0.20 (mean 60 to 66), 75 % of the importance"


def test_a_column_that_the_model_hardly_looks_at_has_drifted() -> None:
    found = decide(situation(findings=(finding("colour"),), importance={"spend": 0.1, "colour": -0.001}))
    assert not found.retrain
    assert found.because == "not retrained: colour drifted, which the model hardly looks at"


@pytest.mark.parametrize("share", [0.049, 0.051])
def test_from_which_importance_on_drift_matters_is_a_bound(share: float) -> None:
    seen = {"findings": (finding(),), "importance": {"spend": share, "visits": 1 - share}}
    assert decide(situation(**seen)).retrain == (share > Bounds().importance)
    assert decide(situation(**seen, bounds=Bounds(importance=0.01))).retrain


def test_where_no_importance_is_known_every_drift_matters() -> None:
    assert decide(situation(findings=(finding(),), importance={})).retrain


def test_the_prediction_has_drifted() -> None:
    moved = finding("probability", part="prediction", mean=0.3, mean_before=0.2)
    found = decide(situation(findings=(moved,)))
    assert (found.retrain, found.cause) == (True, "drift")
    assert found.because == "drifted: the prediction by 0.20 (mean 0.2 to 0.3)"


def test_results_fall_short_of_the_promotion() -> None:
    said = "version 3 has AUC 0.700 (0.680 to 0.720), 0.790 at promotion"
    found = decide(situation(short=(said,)))
    assert (found.retrain, found.cause, found.because, found.since) == (True, "performance", said, EARLIEST)


@pytest.mark.parametrize(("age", "retrain"), [(180.0, False), (180.5, True), (None, False)])
def test_the_model_has_grown_old(age: float | None, retrain: bool) -> None:
    found = decide(situation(age_days=age))
    assert found.retrain == retrain
    if retrain:
        assert (found.cause, found.since) == ("age", EARLIEST)
        assert "180 days old, and 180 is the oldest it may get" in found.because
    assert decide(situation(age_days=31.0, bounds=Bounds(age_days=30))).retrain


def test_it_was_asked_for() -> None:
    found = decide(situation(force=True))
    assert (found.retrain, found.cause, found.because) == (True, "force", "it was asked for")


def test_a_drift_is_learned_from_since_it_began() -> None:
    begun = MARCH - 40 * DAY
    rows = together(labelled(5000, 90), labelled(1500, 35))
    found = decide(situation(findings=(finding(),), since={"spend": begun}, window_days=7, labelled=rows))
    assert (found.retrain, found.since) == (True, begun - 7 * DAY)
    old = decide(situation(findings=(finding(),), since={"spend": MARCH - 300 * DAY}, labelled=rows))
    assert old.since == EARLIEST, "rows that are too old are not trained on, however long it has drifted"


def test_short_results_while_columns_drift_are_learned_from_since_the_drift_began() -> None:
    begun = MARCH - 40 * DAY
    found = decide(situation(short=("worse",), findings=(finding(),), since={"spend": begun}, window_days=7))
    assert found.since == begun - 7 * DAY
    unimportant = situation(short=("worse",), findings=(finding(),), since={"spend": begun}, importance={"visits": 1.0})
    assert decide(unimportant).since == EARLIEST


def test_a_drift_waits_for_outcomes_of_its_own_time() -> None:
    begun = MARCH - 20 * DAY
    rows = together(labelled(5000, 90), labelled(300, 19))
    found = decide(situation(findings=(finding(),), since={"spend": begun}, window_days=7, labelled=rows))
    assert not found.retrain
    assert found.because.endswith("of those asked about since 2026-02-02 300 outcomes are known, and 1,000 are needed")


def test_outcomes_of_leavers_alone_are_not_enough() -> None:
    found = decide(situation(force=True, labelled=labelled(2000, 35, leavers=1990)))
    assert not found.retrain
    assert found.because.endswith("10 are known to have stayed, and 50 are needed")


def test_a_model_that_is_being_tried_is_not_replaced_unless_it_is_asked_for() -> None:
    found = decide(situation(findings=(finding(),), challenger=4))
    assert not found.retrain
    assert found.because.endswith("but version 4 is being tried: decide that rollout first, or force it")
    assert decide(situation(findings=(finding(),), challenger=4, force=True)).retrain


def test_enough_rows_with_too_few_leavers_are_not_enough() -> None:
    found = decide(situation(force=True, labelled=labelled(2000, 35, leavers=49)))
    assert not found.retrain
    assert found.because.endswith("49 are known to have left, and 50 are needed")


@pytest.mark.parametrize(
    ("refused", "retrain"),
    [((27.0,), False), ((28.0,), True), ((30.0, 60.0), False), ((56.0, 90.0), True), ((60.0, 90.0, 120.0), False)],
)
def test_after_tries_that_were_refused_the_next_waits_twice_as_long_each_time(
    refused: tuple[float, ...], retrain: bool
) -> None:
    found = decide(situation(findings=(finding(),), refused=refused))
    assert found.retrain == retrain
    assert retrain or "than the champion" in found.because
    assert decide(situation(force=True, refused=refused)).retrain, "asked for, it does not wait"


def test_a_drift_waits_for_outcomes_of_the_champions_own_predictions() -> None:
    found = decide(situation(findings=(finding(),), judged=False))
    assert not found.retrain
    assert found.because.endswith("but no outcome is known yet of what the champion itself has predicted")
    assert decide(situation(findings=(finding(),), judged=False, force=True)).retrain
    assert decide(situation(findings=(finding(),), judged=False, labelled=None)).retrain, "a table may know more"
    assert decide(situation(short=("worse",), findings=(finding(),), judged=False)).retrain


def test_without_new_outcomes_it_says_so_and_stops() -> None:
    found = decide(situation(force=True, learned_to=MARCH - 35 * DAY))
    assert not found.retrain
    assert found.because.endswith("it was asked for, but no outcome is known that the last training did not know")
    assert decide(situation(force=True, learned_to=MARCH - 36 * DAY)).retrain
    assert decide(situation(force=True, learned_to=None)).retrain


def test_where_none_of_the_drifts_own_time_is_known_it_says_that_and_nothing_of_the_last_training() -> None:
    begun = MARCH - 10 * DAY
    found = decide(situation(short=("worse",), findings=(finding(),), since={"spend": begun}, window_days=7))
    assert not found.retrain
    assert found.because.startswith("not retrained: worse, but of those asked about since 2026-02-12 0 outcomes are")


def test_a_table_is_read_before_anybody_knows_what_is_in_it() -> None:
    assert decide(situation(force=True, labelled=None)).retrain
    assert not decide(situation(labelled=None)).retrain


BROKEN = Fault(MARCH - 14 * DAY, MARCH - 7 * DAY, "mean 6000, 60 before")


def test_what_looks_like_a_fault_of_the_data_is_not_trained_on() -> None:
    seen = {"findings": (finding(faults=(BROKEN,)), finding("other")), "short": ("worse",), "age_days": 999.0}
    found = decide(situation(**seen))
    assert not found.retrain
    assert found.because == (
        "not retrained: spend (mean 6000, 60 before, 2026-02-15 to 2026-02-21) looks like a fault of the data: "
        "mend the source, or force it"
    )
    assert decide(situation(**seen, force=True)).retrain


def test_when_anything_was_broken_is_known_once_each() -> None:
    later = Fault(BROKEN.until, MARCH, "40 % missing, 10 % before")
    findings = [finding(faults=(BROKEN, later)), finding("other", faults=(BROKEN,)), finding("fine")]
    assert faulty(findings) == (Window(BROKEN.since, BROKEN.until), Window(later.since, later.until))


def test_windows_that_were_broken_are_left_out_later() -> None:
    broken = Window(MARCH - 50 * DAY, MARCH - 40 * DAY)
    rows = together(labelled(900, 45), labelled(1200, 35))
    found = decide(situation(force=True, labelled=rows, broken=(broken,)))
    assert (found.retrain, found.excluded) == (True, (broken,))
    assert found.takes(rows.at).sum() == 1200
    assert not decide(situation(force=True, labelled=labelled(2000, 45), broken=(broken,))).retrain


def test_a_decision_takes_rows_of_its_window() -> None:
    begun = MARCH - 40 * DAY
    found = decide(situation(findings=(finding(),), since={"spend": begun}, window_days=1))
    assert found.since == begun - DAY
    rows = together(labelled(10, 50), labelled(20, 35))
    assert found.takes(rows.at).sum() == 20


def test_sentences_hold_no_quotes() -> None:
    found = decide(situation(findings=(finding("""o'clock "x" `y`"""),), importance={}))
    assert found.because.startswith("drifted: oclock x y by")
