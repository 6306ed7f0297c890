from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from msgspec import UNSET

from churn.domain.contract import Advice, Column
from serving import v1
from serving.errors import InvalidValuesError, MalformedError, TooLargeError
from serving.version import INLINE, Version
from tests import bundles
from tests.unit.serving.conftest import answering, answers, asked, call, loader, predictions, run

ANN = bundles.CUSTOMER
MANY = INLINE + 44


def ann(visits: int) -> dict[str, object]:
    return {**ANN, "visits": visits, "spend": 10.0 * visits}


@pytest.mark.parametrize(("high", "contacted"), [(0.0001, "high"), (0.9999, "medium")])
def test_risk_decision_and_recommendation_follow_the_bundle_and_agree(
    trained: Callable[..., Version], high: float, contacted: str
) -> None:
    words = {"low": "wait", "medium": "watch", "high": "act"}
    version = trained(bundles.shop(high_risk=high, recommendations=words), version=3)
    found = predictions(version, *(ann(visits) for visits in (1, 12, 40)))
    assert {(one.decision, one.risk) for one in found} == {(False, "low"), (True, contacted)}
    assert all(one.recommendation == words[one.risk] for one in found)
    assert [one.decision for one in found] == [one.probability >= version.bundle.manifest.threshold for one in found]
    assert [one.confidence for one in found] == [max(one.probability, 1 - one.probability) for one in found]
    assert {(one.model_name, one.model_version, one.variant) for one in found} == {("shop", 3, "champion")}


def test_a_threshold_that_the_caller_names_decides_and_changes_nothing_else(shop: Version) -> None:
    (usual,) = predictions(shop, ANN)
    for threshold in (0, usual.probability, np.nextafter(usual.probability, 1).item(), 1):
        (one,) = predictions(shop, ANN, threshold=threshold)
        assert one.decision == (one.probability >= threshold)
        assert (one.probability, one.risk, one.recommendation) == (usual.probability, usual.risk, usual.recommendation)


@pytest.mark.parametrize(
    ("parameters", "path"),
    [
        ({"threshold": 1.5}, "parameters.threshold"),
        ({"threshold": float("nan")}, "parameters.threshold"),
        ({"threshold": "0.5"}, "parameters.threshold"),
        ({"top": 0}, "parameters.top"),
        ({"partial": 1}, "parameters.partial"),
        ({"thresold": 0.5}, "parameters.thresold"),
    ],
)
def test_parameters_that_cannot_be_are_refused_at_their_place(parameters: dict[str, object], path: str) -> None:
    with pytest.raises(MalformedError) as refused:
        asked(ANN, **parameters)
    assert [fault.path for fault in refused.value.details] == [path]


@pytest.mark.parametrize("count", [1, 7, INLINE, MANY])
def test_order_is_kept_however_many_there_are(shop: Version, count: int) -> None:
    visits = [1 + (17 * place) % 40 for place in range(count)]
    alone = {one: predictions(shop, ann(one))[0].probability for one in set(visits)}
    found = predictions(shop, *(ann(one) for one in visits))
    assert [one.probability for one in found] == pytest.approx([alone[one] for one in visits], abs=1e-6)


def test_a_batch_counts_its_customers_by_risk(shop: Version) -> None:
    rendered = v1.render(answers(shop, asked(*(ann(visits) for visits in range(1, 41)))))
    levels = [one.risk for one in rendered["predictions"]]
    assert rendered["risk"] == {level: levels.count(level) for level in ("low", "medium", "high")}
    assert len(set(levels)) == 3
    assert "risk" not in v1.render(answers(shop, asked(ANN)))


def test_more_customers_than_the_limit_are_refused_whole(shop: Version) -> None:
    limited = answering(shop, batch_limit=2)
    assert run(limited.answer(asked(ANN, ANN), call())).count == 2
    with pytest.raises(TooLargeError, match="3 customers are more than 2 in one request") as refused:
        run(limited.answer(asked(ANN, ANN, ANN, partial=True), call()))
    assert refused.value.status == 413


def test_one_bad_customer_refuses_the_request_unless_the_caller_takes_parts(shop: Version) -> None:
    rows = [ANN, {**ANN, "plan": "gold", "visits": -1}, {**ANN, "visits": 0}, {**ANN, "visits": 30}]
    with pytest.raises(InvalidValuesError) as refused:
        answers(shop, asked(*rows))
    assert [fault.path for fault in refused.value.details][2:] == ["instances[2]"]
    assert {fault.path for fault in refused.value.details[:2]} == {"instances[1].plan", "instances[1].visits"}
    first, gold, nothing, last = predictions(shop, *rows, partial=True)
    assert [first, last] == predictions(shop, rows[0], rows[3])
    assert {fault.path for fault in gold.error["details"]} == {"instances[1].plan", "instances[1].visits"}
    assert (nothing.error["code"], nothing.error["details"][0].path) == ("invalid_values", "instances[2]")


def test_of_a_partial_answer_only_those_who_are_answered_are_counted(shop: Version) -> None:
    rendered = v1.render(answers(shop, asked(ANN, {}, {**ANN, "visits": 0}, partial=True)))
    assert sum(rendered["risk"].values()) == 1


def test_when_nobody_can_be_answered_a_partial_answer_holds_faults_alone(shop: Version) -> None:
    found = predictions(shop, {}, {"visits": -1}, partial=True)
    assert all(isinstance(one, v1.Unanswered) for one in found)


@pytest.mark.parametrize("count", [3, MANY])
def test_a_partial_answer_is_the_same_for_few_and_for_many(shop: Version, count: int) -> None:
    rows = [ann(0 if place % 3 == 1 else 1 + place % 40) for place in range(count)]
    rows[0] = {**ANN, "rating": 77}
    found = predictions(shop, *rows, partial=True)
    bad = {0, *range(1, count, 3)}
    assert [place for place, one in enumerate(found) if isinstance(one, v1.Unanswered)] == sorted(bad)
    assert found[2].probability == pytest.approx(predictions(shop, rows[2])[0].probability, abs=1e-6)


def test_a_partial_answer_names_the_customer_who_has_none(shop: Version) -> None:
    named, unnamed = predictions(shop, {"customer_id": "zoe", **ANN, "visits": -1}, {**ANN, "visits": -1}, partial=True)
    assert (named.customer_id, unnamed.customer_id) == ("zoe", UNSET)


RULES = {
    "low": "wait",
    "medium": Advice("watch", {"spend": "watch: prices", "visits": "watch: visits"}),
    "high": Advice("act", {"visits": "act: visits"}),
}


def test_the_strongest_reason_chooses_among_the_rules_of_its_level(trained: Callable[..., Version]) -> None:
    version = trained(bundles.shop(recommendations=RULES))
    rows = [
        {**ANN, "visits": v, "spend": s, "plan": p}
        for v in (1, 20, 40)
        for s in (5.0, 480.0)
        for p in ("basic", "plus")
    ]
    found = predictions(version, *rows, explain=True, top=100)
    for one in found:
        strongest = max(one.explanation["contributions"].items(), key=lambda pair: pair[1])
        rule = RULES[one.risk]
        expected = rule if isinstance(rule, str) else rule.by_reason.get(strongest[0], rule.default)
        assert one.recommendation == expected
    assert len({one.recommendation for one in found}) >= 4, "the cases are told apart"
    assert [one.recommendation for one in predictions(version, *rows)] == [one.recommendation for one in found]


def test_a_reason_that_lowers_the_risk_chooses_nothing(trained: Callable[..., Version]) -> None:
    version = trained(bundles.shop(recommendations={**RULES, "low": Advice("wait", dict.fromkeys(ANN, "because"))}))
    low = [{**ANN, "visits": 1, "spend": 1.0, "discount": d, "rating": r} for d in (0.0, 5.0) for r in (0.0, 5.0)]
    unraised = [
        one for one in predictions(version, *low, explain=True) if max(one.explanation["contributions"].values()) <= 0
    ]
    assert {(one.risk, one.recommendation) for one in unraised} == {("low", "wait")}


def test_unknown_categories_are_answered_as_other_where_the_server_is_told_so(tmp_path: Path) -> None:
    settings = bundles.settings_of(tmp_path)
    regions = Column("category", categories=("north", "other"), nullable=True)
    variant = bundles.publish(settings, bundles.shop(columns={**bundles.shop().columns, "region": regions}))
    strict = loader(settings).load("shop", variant)
    lenient = loader(settings, CHURN_UNKNOWN_CATEGORY="other").load("shop", variant)
    east, other = {**ANN, "region": "east"}, {**ANN, "region": "other"}
    assert predictions(lenient, east) == predictions(lenient, other) == predictions(strict, other)
    with pytest.raises(InvalidValuesError, match=r"instances\[0\].region is none of 'north', 'other'"):
        predictions(strict, east)


def test_many_at_once_are_answered_each_with_their_own(shop: Version) -> None:
    asks = [asked(*(ann(1 + (place + row) % 40) for row in range(1 + place * 37 % MANY))) for place in range(24)]
    made = answering(shop)

    async def together() -> list[object]:
        return await asyncio.gather(*(made.answer(one, call()) for one in asks))

    for one, found in zip(asks, run(together()), strict=True):
        assert found.probability == pytest.approx(answers(shop, one).probability, abs=1e-6)
