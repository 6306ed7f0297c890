from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from churn.domain.contract import Column, Key
from churn.domain.errors import UserError
from churn.stores.settings import Settings
from churn.stores.traffic import Variant
from serving import champion
from serving.champion import Champion
from serving.errors import InvalidValuesError, RequestError, StaleCustomerError, UnavailableError, UnknownCustomerError
from tests import bundles
from tests.unit.serving.conftest import asked

ANN = bundles.CUSTOMER


def refusal(of: Champion, *instances: dict[str, Any]) -> RequestError:
    with pytest.raises(RequestError) as refused:
        of.answer(asked(*instances))
    return refused.value


@pytest.mark.parametrize(("high", "contacted"), [(0.0001, "high"), (0.9999, "medium")])
def test_risk_decision_and_recommendation_follow_the_bundle_and_agree(
    tmp_path: Path, high: float, contacted: str
) -> None:
    words = {"low": "wait", "medium": "watch", "high": "act"}
    of = bundles.shop(high_risk=high, recommendations=words)
    settings = bundles.settings_of(tmp_path)
    loaded = champion.load(settings, "shop", bundles.publish(settings, of, version=3))
    answers = loaded.answer(asked(*({**ANN, "visits": visits, "spend": 10 * visits} for visits in (1, 12, 40))))
    assert {(answer.decision, answer.risk) for answer in answers} == {(False, "low"), (True, contacted)}
    assert all(answer.recommendation == words[answer.risk] for answer in answers)
    assert {a.decision for a in answers} == {True, False}
    assert [a.decision for a in answers] == [a.probability >= loaded.bundle.manifest.threshold for a in answers]
    assert [a.confidence for a in answers] == [max(a.probability, 1 - a.probability) for a in answers]
    assert {a.model_version for a in answers} == {3}


def test_every_customer_without_a_finite_feature_is_named(shop: Champion) -> None:
    error = refusal(shop, {**ANN, "visits": 0}, ANN, {**ANN, "visits": 0})
    assert isinstance(error, InvalidValuesError)
    assert [fault.path for fault in error.details] == ["instances[0]", "instances[2]"]


def test_without_an_online_store_only_requests_by_id_are_refused(shop: Champion) -> None:
    assert isinstance(refusal(shop, {"customer_id": "ann"}, ANN), UnavailableError)
    assert len(shop.answer(asked({"customer_id": "ann", **ANN}, ANN))) == 2


def test_stored_values_are_null_stale_unknown_or_used(tmp_path: Path) -> None:
    settings, of = bundles.settings_of(tmp_path), bundles.shop(columns=all_nullable(), derived={})
    loaded = champion.load(settings, "shop", bundles.publish(settings, of))
    now = datetime.now(UTC).replace(microsecond=0)
    bundles.remember(settings, of, {"old": ANN}, now - timedelta(days=of.ttl_days, seconds=1))
    bundles.remember(settings, of, {"edge": ANN}, now - timedelta(days=of.ttl_days) + timedelta(minutes=5))
    bundles.remember(settings, of, {"blank": {}, "ann": ANN}, now)
    stored, blank, edge = loaded.answer(
        asked({"customer_id": "ann"}, {"customer_id": "blank"}, {"customer_id": "edge"})
    )
    whole, nothing = loaded.answer(asked(ANN, {}))
    assert stored.probability == edge.probability == pytest.approx(whole.probability, abs=1e-12)
    assert blank.probability == pytest.approx(nothing.probability, abs=1e-12)
    assert isinstance(refusal(loaded, {"customer_id": "old"}), StaleCustomerError)
    assert isinstance(refusal(loaded, {"customer_id": "old"}, {"customer_id": "new"}), UnknownCustomerError)


def test_a_stored_null_that_the_contract_does_not_allow_is_told(tmp_path: Path) -> None:
    settings, of = bundles.settings_of(tmp_path), bundles.shop()
    loaded = champion.load(settings, "shop", bundles.publish(settings, of))
    bundles.remember(settings, of, {"ann": {**ANN, "visits": None}})
    error = refusal(loaded, {"customer_id": "ann"})
    assert isinstance(error, InvalidValuesError)
    assert [(fault.path, fault.problem) for fault in error.details] == [
        ("instances[0].visits", "is missing: neither given nor stored")
    ]
    assert loaded.answer(asked({"customer_id": "ann", "visits": 3}))[0].customer_id == "ann"


def test_customers_with_integer_keys_are_found(tmp_path: Path) -> None:
    settings, of = bundles.settings_of(tmp_path), bundles.shop(key=Key("account", type="integer"))
    loaded = champion.load(settings, "shop", bundles.publish(settings, of))
    bundles.remember(settings, of, {7: ANN, 2**60 + 1: {**ANN, "visits": 30}})
    by_number, by_text, large = loaded.answer(asked({"account": 7}, {"account": "7"}, {"account": str(2**60 + 1)}))
    assert by_number == by_text
    assert (by_number.customer_id, large.customer_id) == (7, 2**60 + 1)
    assert large.probability != by_number.probability


def test_a_bundle_of_another_model_is_refused(settings: Settings, shop: Champion) -> None:
    with pytest.raises(UserError, match="is a model of 'shop', not of 'garage'"):
        champion.load(settings, "garage", shop.variant)


def test_a_bundle_under_another_digest_is_refused(settings: Settings, shop: Champion) -> None:
    with pytest.raises(UserError, match="has the digest"):
        champion.load(settings, "shop", Variant(1, "0" * 64, shop.variant.bundle))


def all_nullable() -> dict[str, Column]:
    return {name: msgspec.structs.replace(column, nullable=True) for name, column in bundles.shop().columns.items()}
