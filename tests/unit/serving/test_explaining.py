"""The reasons of an answer: the same in every protocol, exact where the model gives them, and they add up."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from churn.domain.contract import Advice
from serving import outputs, v1, v2_body
from serving.answering import EXPLAINED_INLINE
from serving.answers import Answers, Explanation
from serving.lineup import Lineup
from serving.outputs import COLUMNS, EXPLAINED
from serving.v2 import Tensors
from serving.version import Version
from tests import bundles
from tests.unit.serving import test_v2_body as rest
from tests.unit.serving import test_v2_grpc as rpc
from tests.unit.serving.conftest import answering, answers, asked, call, loader, predictions, run

ANN = bundles.CUSTOMER
ROWS = [ANN, {**ANN, "plan": "plus", "visits": 30, "spend": 900.0}, {**ANN, "visits": 2, "rating": 0.5}]
METHODS = {"logistic": "exact", "xgboost": "exact", "forest": "approximate"}


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def explained(trained: Callable[..., Version], method: str) -> Version:
    return trained(estimator=method)


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def by_v1(version: Version, *rows: dict[str, Any], top: int = 3) -> list[Any]:
    return predictions(version, *rows, explain=True, top=top)


def test_contributions_add_up_to_the_logit_and_are_told_by_the_contracts_columns(
    explained: Version, method: str
) -> None:
    for one in by_v1(explained, *ROWS):
        why = one.explanation
        assert why["method"] == METHODS[method]
        assert list(why["contributions"]) == list(bundles.shop().raw)
        total = why["base_value"] + sum(why["contributions"].values())
        assert total == pytest.approx(logit(one.probability), abs=1e-3)


def test_the_answer_is_the_same_with_and_without_its_reasons(explained: Version) -> None:
    for plain, one in zip(predictions(explained, *ROWS), by_v1(explained, *ROWS), strict=True):
        assert (one.probability, one.decision, one.risk, one.recommendation) == (
            plain.probability,
            plain.decision,
            plain.risk,
            plain.recommendation,
        )


@pytest.mark.parametrize("rules", [True, False])
def test_what_is_not_loaded_yet_is_loaded_beside_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rules: bool
) -> None:
    """An explanation is also what a recommendation may depend on."""
    because = Advice("act", dict.fromkeys(ANN, "because"))
    of = bundles.shop(recommendations=dict.fromkeys(("low", "medium", "high"), because)) if rules else bundles.shop()
    home = bundles.settings_of(tmp_path)
    version = loader(home).load("shop", bundles.publish(home, of, estimator="xgboost"), whole=False)
    explain, threads = version.explainer.explain, []

    def watched(columns: Any) -> Any:
        threads.append(threading.current_thread() is threading.main_thread())
        return explain(columns)

    monkeypatch.setattr(version.explainer, "explain", watched)
    for _ in range(2):
        predictions(version, ANN, explain=not rules)
    assert threads == [False, True]


@pytest.mark.parametrize("top", [1, 3, 100])
def test_the_strongest_reasons_come_in_words_the_strongest_first(shop: Version, top: int) -> None:
    for one in by_v1(shop, *ROWS, top=top):
        why = one.explanation
        sizes = [abs(reason.contribution) for reason in why["reasons"]]
        assert sizes == sorted(sizes, reverse=True)
        assert len(sizes) == min(top, sum(value != 0 for value in why["contributions"].values()))
        assert sizes[0] == max(map(abs, why["contributions"].values()))
        for reason in why["reasons"]:
            assert reason.contribution == why["contributions"][reason.column]
            assert reason.direction in reason.text


@pytest.mark.parametrize("count", [EXPLAINED_INLINE, EXPLAINED_INLINE + 30])
def test_reasons_belong_to_their_customers_however_many_there_are(shop: Version, count: int) -> None:
    rows = [{**ANN, "visits": 1 + place % 40} for place in range(count)]
    for row, one in zip(rows, by_v1(shop, *rows), strict=True):
        (alone,) = by_v1(shop, row)
        assert one.explanation["contributions"] == pytest.approx(alone.explanation["contributions"], abs=1e-5)


def test_explain_is_a_route_of_v1_as_well(shop: Version) -> None:
    instances = asked(ANN, top=2)
    instances.options = v1.explaining(instances.options)
    rendered = v1.render_explanations(answers(shop, instances))
    assert rendered == {"explanations": by_v1(shop, ANN, top=2)}


def test_nothing_is_explained_unless_it_is_asked_for(shop: Version) -> None:
    (one,) = predictions(shop, ANN, top=5)
    assert "explanation" not in json.loads(msgspec.json.encode(one))
    assert set(EXPLAINED).isdisjoint(rest.outputs(rest.answer(shop, rest.read(*rest.tensors(ANN)))))


def by_rest(version: Version, *rows: dict[str, Any], **parameters: Any) -> tuple[dict[str, list[Any]], str]:
    what = rest.read(*rest.tensors(*rows), parameters={"explain": True, **parameters})
    document = json.loads(v2_body.render(answers(version, what), what)[0])
    found = {one["name"]: one for one in document["outputs"]}
    assert found["contributions"]["shape"] == [len(rows), len(ANN)]
    return {name: one["data"] for name, one in found.items()}, found["contributions"]["parameters"][COLUMNS]


def by_bytes(version: Version, *rows: dict[str, Any], **parameters: Any) -> tuple[dict[str, list[Any]], str]:
    response = rest.answer(version, rest.binary(*rows, explain=True, **parameters))
    flat = {name: np.ravel(np.array(values, object)).tolist() for name, values in rest.as_arrays(response).items()}
    (contributions,) = (one for one in response.outputs if one.name == "contributions")
    return _texts(flat), contributions.parameters[COLUMNS]


def by_grpc(version: Version, *rows: dict[str, Any], **parameters: Any) -> tuple[dict[str, list[Any]], str]:
    response = rpc.answer(version, rpc.request(*rows, explain=True, **parameters))
    (contributions,) = (one for one in response.outputs if one.name == "contributions")
    assert list(contributions.shape) == [len(rows), len(ANN)]
    return rpc.outputs(response), contributions.parameters[COLUMNS].string_param


def _texts(found: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {name: [v.decode() if isinstance(v, bytes) else v for v in values] for name, values in found.items()}


@pytest.mark.parametrize("way", [by_rest, by_bytes, by_grpc])
def test_every_protocol_gives_the_same_reasons(explained: Version, way: Callable[..., Any]) -> None:
    found, columns = way(explained, *ROWS, top=2)
    expected = by_v1(explained, *ROWS, top=2)
    assert columns.split(",") == list(ANN)
    assert found["method"] == [one.explanation["method"] for one in expected]
    assert found["base_value"] == pytest.approx([one.explanation["base_value"] for one in expected])
    flat = [value for one in expected for value in one.explanation["contributions"].values()]
    assert found["contributions"] == pytest.approx(flat, abs=1e-6)
    reasons = [reason for one in expected for reason in one.explanation["reasons"]]
    assert found["reasons"] == [reason.text for reason in reasons]
    assert found["reason_columns"] == [reason.column for reason in reasons]


@pytest.mark.parametrize("way", [by_rest, by_bytes, by_grpc])
def test_customers_without_an_answer_have_no_reasons_and_move_nobodys(shop: Version, way: Callable[..., Any]) -> None:
    rows = [{**ANN, "spend": -1.0}, ANN, {**ANN, "visits": 0}]
    found, columns = way(shop, *rows, partial=True, top=2)
    (alone,) = by_v1(shop, ANN, top=2)
    width = len(columns.split(","))
    contributions = np.array(found["contributions"], float).reshape(3, width)
    np.testing.assert_array_equal(contributions[1], list(alone.explanation["contributions"].values()))
    assert np.isnan(contributions[[0, 2]]).all()
    assert found["method"] == ["", "exact", ""]
    assert found["reasons"] == ["", "", *(reason.text for reason in alone.explanation["reasons"]), "", ""]


def test_when_nobody_is_answered_there_are_no_tensors_of_reasons(shop: Version) -> None:
    message = rpc.request({**ANN, "spend": -1.0}, explain=True, partial=True)
    found = rpc.outputs(rpc.answer(shop, message))
    assert set(EXPLAINED).isdisjoint(found)
    assert found["error"] == ["inputs.spend[0] is below 0"]


def test_what_explains_a_mixed_batch_is_each_answers_own_version(
    shop: Version, trained: Callable[..., Version]
) -> None:
    challenger = trained(version=2, seed=1)
    lineup = Lineup(shop, challenger, share=1.0)
    found = run(answering(lineup).answer(asked(ANN, {"customer_id": "ann", **ANN}, explain=True), call()))
    mine, theirs = (one.explanation for one in v1.render(found)["predictions"])
    assert mine == by_v1(shop, ANN)[0].explanation
    assert theirs == by_v1(challenger, ANN)[0].explanation


@pytest.mark.parametrize("way", [by_rest, by_bytes, by_grpc])
def test_a_challenger_with_its_columns_in_another_order_is_told_under_the_same_names(
    shop: Version, trained: Callable[..., Version], way: Callable[..., Any]
) -> None:
    other = trained(bundles.shop(columns=dict(reversed(bundles.shop().columns.items()))), version=6)
    lineup = Lineup(shop, other, share=0.5)
    rows = [{"customer_id": f"customer-{number}", **ANN} for number in range(8)]
    expected = by_v1(lineup, *rows)
    assert {one.variant for one in expected} == {"champion", "challenger"}
    found, columns = way(lineup, *rows)
    for row, one in zip(np.array(found["contributions"], float).reshape(8, -1), expected, strict=True):
        told = dict(zip(columns.split(","), row.tolist(), strict=True))
        assert told == pytest.approx(one.explanation["contributions"], abs=1e-6)


def test_versions_with_columns_of_their_own_share_a_tensor() -> None:
    told = [Explanation(0.1, {"a": 1.0, "b": 2.0}, [], True), None, Explanation(0.2, {"b": 3.0, "c": 4.0}, [], False)]
    found = Answers.empty(3, "shop", None)
    found.explanations = told
    by_name = {one.name: one for one in outputs.outputs(found, Tensors([]))}
    contributions = by_name["contributions"]
    assert (contributions.shape, contributions.parameters) == ([3, 3], {COLUMNS: "a,b,c"})
    nan = float("nan")
    np.testing.assert_array_equal(contributions.data, [1, 2, nan, nan, nan, nan, nan, 3, 4])
    assert by_name["method"].data == ["exact", "", "approximate"]
