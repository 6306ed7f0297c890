"""What is decided about a challenger by the log and the outcomes of its customers."""

from __future__ import annotations

import datetime as dt
import re

import pytest

from churn.domain.errors import UserError
from churn.stores import rollout_decisions
from churn.stores.errors import ConflictError
from churn.stores.traffic import promoted, withdrawn
from local.rollout import acting, judging
from tests.rollouts import DAY, Stage

START = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
LATER = START + 40 * DAY
COUNT = 600


def names(prefix: str, count: int = COUNT) -> list[str]:
    return [f"{prefix}{place}" for place in range(count)]


def judge(stage: Stage, as_of: dt.datetime = LATER):
    return judging.judge(stage.settings, {}, "shop", as_of)


def run_experiment(stage: Stage, leavers: float, share: float = 0.5) -> None:
    """Both groups are asked about and so many leave; the champion contacts all of its own, the challenger nobody."""
    stage.challenge(stage.variant(2), share)
    groups = {1: names("champion-"), 2: names("challenger-")}
    stage.log(2, ["the-first"], START - DAY, contacts=False)
    for version, customers in groups.items():
        stage.log(version, customers, START, contacts=version == 1)
    every = 1 / leavers if leavers else 0
    gone = [name for group in groups.values() for place, name in enumerate(group) if every and place % every < 1]
    everybody = {name for group in groups.values() for name in group}
    stage.became(gone, everybody - set(gone), START + 2 * DAY, LATER)


def test_without_predictions_it_waits_and_apply_changes_nothing(home: Stage) -> None:
    before = home.challenge(home.variant(2))
    judged = judge(home)
    assert judged.verdict.action == "wait"
    assert "no prediction of a customer" in judged.verdict.reason
    assert "CHURN_PROMETHEUS names no Prometheus" in judged.silence
    assert acting.apply(home.settings, {}, judged) is None
    assert home.document == before
    assert rollout_decisions.latest(home.settings.database, "shop") == []


def test_without_outcomes_it_waits_and_says_when_there_can_be_any(stage: Stage) -> None:
    stage.challenge(stage.variant(2))
    stage.log(2, ["the-first"], START, contacts=False)
    stage.log(1, names("a", 10), START + DAY, contacts=True)
    stage.log(2, names("b", 10), START + DAY, contacts=False)
    judged = judge(stage)
    assert judged.verdict.reason.endswith("of 20 customers none has an outcome; the first can have one on 2026-04-02")
    assert (judged.evidence.customers, judged.evidence.challenged, judged.evidence.pending) == (20, 10, 20)


def test_one_that_brings_less_is_rolled_back_and_it_is_written_down(stage: Stage) -> None:
    run_experiment(stage, leavers=0.5)
    judged = judge(stage)
    assert judged.verdict.action == "roll back"
    assert re.search(r"brings 20\.\d\d less a customer than version 1", judged.verdict.reason)
    assert "by 1,200 outcomes" in judged.verdict.reason
    done = acting.apply(stage.settings, {}, judged)
    assert done is not None
    assert (stage.document.champion.version, stage.document.challenger, stage.document.share) == (1, None, 0.0)
    (row,) = rollout_decisions.latest(stage.settings.database, "shop")
    assert row == done.decision
    assert (row.action, row.by, row.champion, row.challenger, row.revision) == ("roll back", "decide", 1, None, 3)


def test_one_that_brings_more_waits_where_errors_and_latency_are_not_known(stage: Stage) -> None:
    run_experiment(stage, leavers=0.0)
    judged = judge(stage)
    assert judged.evidence.profit is not None
    assert judged.evidence.profit.low > 0
    assert judged.evidence.brier is not None
    assert judged.evidence.brier.low > 0
    assert judged.verdict.action == "wait"
    assert "CHURN_PROMETHEUS" in judged.verdict.reason


def test_before_the_horizon_has_passed_nothing_is_known(home: Stage) -> None:
    run_experiment(home, leavers=0.5)
    judged = judge(home, START + 29 * DAY)
    assert (judged.verdict.action, judged.evidence.judged) == ("wait", 0)


@pytest.mark.parametrize("known_days", [0, 20])
def test_where_only_leavers_are_known_by_now_nobody_is_judged(home: Stage, known_days: int) -> None:
    """By them alone, a champion who contacts everybody would be the better one."""
    home.challenge(home.variant(2))
    home.log(2, ["the-first"], START - DAY, contacts=False)
    home.log(1, names("a", 40), START, contacts=True)
    home.log(2, names("b", 40), START, contacts=False)
    gone, stayed = (names("a", 20) + names("b", 20)), (names("a", 40)[20:] + names("b", 40)[20:])
    home.became(gone, [], START + 2 * DAY, LATER)
    if known_days:
        home.became([], stayed, START, START + known_days * DAY)
    assert judge(home).evidence.judged == 0
    home.became([], stayed, START, LATER)
    assert judge(home).evidence.judged == 80


@pytest.mark.parametrize("at_once", [500_000, 10])
def test_a_customer_counts_once_however_often_asked_about(
    home: Stage, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("local.rollout.observed._MANY", at_once)
    home.challenge(home.variant(2))
    home.log(2, ["the-first"], START - DAY, contacts=False)
    for again in range(2):
        home.log(1, names("a", 40), START + again * DAY, contacts=again > 0)
        home.log(2, names("b", 40), START + again * DAY, contacts=False)
    home.became([], [*names("a", 40), *names("b", 40)], START, LATER)
    found = judge(home).evidence
    assert (found.customers, found.challenged, found.judged) == (80, 40, 80)
    assert found.profit is not None
    assert found.profit.mean == 0, "by the first prediction, when nobody was contacted"


def test_what_was_logged_before_the_line_up_is_of_another_experiment(home: Stage) -> None:
    home.challenge(home.variant(2))
    home.log(2, names("early", 50), START - 5 * DAY, contacts=False)
    home.log(2, names("late", 50), START, contacts=False)
    home.log(1, names("others", 50), START + DAY, contacts=False)
    home.since(START - DAY)
    found = judge(home).evidence
    assert (found.customers, found.challenged) == (99, 49), "the first after the change opens the experiment"


def test_who_meets_the_champion_while_the_line_up_is_on_its_way_is_in_neither_group(home: Stage) -> None:
    home.challenge(home.variant(2))
    home.log(2, ["the-first"], START, contacts=False)
    home.log(1, names("late-predictor-", 20), START, contacts=False)
    home.log(1, names("a", 5), START + DAY, contacts=False)
    home.log(2, names("b", 5), START + DAY, contacts=False)
    home.since(START)
    found = judge(home).evidence
    assert (found.customers, found.challenged, found.misdivided) == (10, 5, False)


def test_groups_that_lack_customers_are_not_compared(home: Stage) -> None:
    run_experiment(home, leavers=0.5, share=0.9)
    judged = judge(home)
    assert (judged.verdict.action, judged.evidence.misdivided) == ("wait", True)
    assert "instead of 90.0%" in judged.verdict.reason


def test_shadows_are_held_against_the_answers_to_the_same_requests(stage: Stage) -> None:
    stage.challenge(stage.variant(2), 1.0, "shadow")
    customers, requests = names("c", 100), [f"r{place}" for place in range(100)]
    stage.log(1, customers, START, contacts=True, requests=requests)
    stage.log(2, customers, START, contacts=False, requests=requests, shadow=True)
    stage.log(1, customers, START + DAY, contacts=False)
    stage.log(2, ["nobody-answered"], START, contacts=False, shadow=True)
    stage.became(customers[::2], customers[1::2], START + 2 * DAY, LATER)
    judged = judge(stage)
    assert (judged.evidence.customers, judged.evidence.judged) == (100, 100)
    assert judged.evidence.profit is not None
    assert judged.evidence.profit.mean == -20
    assert judged.verdict.action == "roll back"


def test_a_promotion_while_it_was_judged_is_a_conflict_and_nothing_else(home: Stage) -> None:
    run_experiment(home, leavers=0.5)
    judged = judge(home)
    theirs = home.put(promoted(home.document, "shop", home.variant(3, seed=1)))
    with pytest.raises(ConflictError, match=r"was faster: revision 3 instead of 2; nothing was changed"):
        acting.apply(home.settings, {}, judged)
    assert home.document == theirs
    assert rollout_decisions.latest(home.settings.database, "shop") == []


def test_a_challenger_that_is_gone_leaves_nothing_to_decide(home: Stage) -> None:
    run_experiment(home, leavers=0.5)
    judged = judge(home)
    home.put(withdrawn(home.document))
    with pytest.raises(ConflictError):
        acting.apply(home.settings, {}, judged)
    with pytest.raises(UserError, match="has no challenger"):
        judge(home)


def test_a_model_that_nobody_promoted_has_nothing_to_decide(home: Stage) -> None:
    with pytest.raises(UserError, match="has no champion"):
        judging.judge(home.settings, {}, "garage")


@pytest.mark.parametrize(
    ("name", "value"),
    [("ERROR_RATE", "2"), ("P99_RATIO", "0.5"), ("LEVEL", "a lot"), ("WATCH_SECONDS", "-1"), ("ERROR_RATE", "nan")],
)
def test_a_bound_that_cannot_be_is_refused_by_its_name(home: Stage, name: str, value: str) -> None:
    with pytest.raises(UserError, match=f"CHURN_ROLLOUT_{name}"):
        judging.judge(home.settings, {f"CHURN_ROLLOUT_{name}": value}, "shop")
