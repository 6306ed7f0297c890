from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from churn.domain.contract import Column, Contract, Key
from churn.domain.errors import UserError
from churn.stores.addresses import sqlite_file
from churn.stores.settings import Settings
from churn.stores.traffic import Variant
from feature_repo import frozen, names
from serving import v1
from serving.errors import (
    Fault,
    InvalidValuesError,
    RequestError,
    StaleCustomerError,
    UnavailableError,
    UnknownCustomerError,
)
from serving.metrics import Metrics
from serving.settings import ServingSettings
from serving.version import PROVENANCE, Loader, Version
from tests import bundles
from tests.unit.serving.conftest import answers, asked, loader, predictions

ANN = bundles.CUSTOMER
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return bundles.settings_of(tmp_path)


def loaded(home: Settings, of: Contract, **changes: Any) -> Version:
    return loader(home).load("shop", bundles.publish(home, of, **changes))


def refusal(of: Version, *instances: dict[str, Any]) -> RequestError:
    with pytest.raises(RequestError) as refused:
        answers(of, asked(*instances))
    return refused.value


def test_every_customer_without_a_finite_feature_is_named(shop: Version) -> None:
    error = refusal(shop, {**ANN, "visits": 0}, ANN, {**ANN, "visits": 0})
    assert isinstance(error, InvalidValuesError)
    assert [fault.path for fault in error.details] == ["instances[0]", "instances[2]"]


def test_without_an_online_store_only_requests_by_id_are_refused(shop: Version) -> None:
    error = refusal(shop, {"customer_id": "ann"}, ANN)
    assert isinstance(error, UnavailableError)
    assert int(error.headers["retry-after"]) >= 1
    assert len(predictions(shop, {"customer_id": "ann", **ANN}, ANN)) == 2


def test_without_an_online_store_a_partial_request_answers_those_who_bring_all(shop: Version) -> None:
    found = predictions(shop, {"customer_id": "ann"}, ANN, {"customer_id": "ann", **ANN}, partial=True)
    assert found[0].error["code"] == "unavailable"
    assert [type(one) for one in found[1:]] == [v1.Answer, v1.Answer]


def test_stored_values_are_null_stale_unknown_or_used(home: Settings) -> None:
    of = bundles.shop(columns=all_nullable(), derived={})
    version = loaded(home, of)
    bundles.remember(home, of, {"old": ANN}, NOW - timedelta(days=of.ttl_days, seconds=1))
    bundles.remember(home, of, {"edge": ANN}, NOW - timedelta(days=of.ttl_days) + timedelta(hours=3))
    bundles.remember(home, of, {"blank": {}, "ann": ANN}, NOW)
    stored, blank, edge = predictions(
        version, {"customer_id": "ann"}, {"customer_id": "blank"}, {"customer_id": "edge"}
    )
    whole, nothing = predictions(version, ANN, {})
    assert stored.probability == edge.probability == pytest.approx(whole.probability, abs=1e-12)
    assert blank.probability == pytest.approx(nothing.probability, abs=1e-12)
    assert isinstance(refusal(version, {"customer_id": "old"}), StaleCustomerError)
    assert isinstance(refusal(version, {"customer_id": "old"}, {"customer_id": "new"}), UnknownCustomerError)


def test_faults_of_several_kinds_are_told_together_by_customer(home: Settings) -> None:
    of = bundles.shop()
    version = loaded(home, of)
    bundles.remember(home, of, {"old": ANN}, NOW - timedelta(days=of.ttl_days + 1))
    bundles.remember(home, of, {"ann": ANN}, NOW)
    error = refusal(
        version,
        {"customer_id": "new"},
        {"customer_id": "ann"},
        {"customer_id": "old"},
        {**ANN, "visits": 0},
        {"customer_id": "ann", "visits": -1},
    )
    assert isinstance(error, InvalidValuesError)
    assert [(fault.path, fault.problem) for fault in error.details] == [
        ("instances[0].customer_id", "names no known customer"),
        (
            "instances[2].customer_id",
            f"names a customer whose stored values are older than {of.ttl_days} days; send them anew",
        ),
        ("instances[3]", "gives no finite value of feature spend_per_visit, column visits, spend"),
        ("instances[4].visits", "is below 0"),
    ]


def test_a_stored_null_that_the_contract_does_not_allow_is_told(home: Settings) -> None:
    of = bundles.shop()
    version = loaded(home, of)
    bundles.remember(home, of, {"ann": {**ANN, "visits": None}})
    error = refusal(version, {"customer_id": "ann"})
    assert isinstance(error, InvalidValuesError)
    assert error.details == (Fault("instances[0].visits", "is missing: neither given nor stored"),)
    assert predictions(version, {"customer_id": "ann", "visits": 3})[0].customer_id == "ann"


def test_customers_with_integer_keys_are_found(home: Settings) -> None:
    of = bundles.shop(key=Key("account", type="integer"))
    version = loaded(home, of)
    bundles.remember(home, of, {7: ANN, 2**60 + 1: {**ANN, "visits": 30}})
    by_number, by_text, large = predictions(version, {"account": 7}, {"account": "7"}, {"account": str(2**60 + 1)})
    assert by_number == by_text
    assert (by_number.customer_id, large.customer_id) == (7, 2**60 + 1)
    assert large.probability != by_number.probability


def test_a_stored_value_that_the_model_does_not_know_is_its_customers_fault_alone(home: Settings) -> None:
    of = bundles.shop()
    version = loaded(home, of)
    bundles.remember(home, of, {"ann": ANN, "eve": ANN})
    overwrite(home, of, "eve", "plan", b"\x12\x04gold")
    error = refusal(version, {"customer_id": "ann"}, {"customer_id": "eve"})
    assert isinstance(error, StaleCustomerError)
    assert [fault.path for fault in error.details] == ["instances[1].customer_id"]
    fine, faulty = predictions(version, {"customer_id": "ann"}, {"customer_id": "eve"}, partial=True)
    assert fine.probability == predictions(version, ANN)[0].probability
    assert faulty.error["code"] == "stale_customer"


def overwrite(home: Settings, of: Contract, customer: str, column: str, value: bytes) -> None:
    """Writes past the pipeline into the online store's file."""
    online = frozen.freeze(of)
    file = sqlite_file(home.online_store)
    assert file
    with sqlite3.connect(file) as connection:
        changed = connection.execute(
            f'UPDATE "{online.project}_{online.view}" SET value = ? WHERE feature_name = ? AND instr(entity_key, ?)',
            (value, names.field(column), customer.encode()),
        )
    assert changed.rowcount == 1


def test_an_id_that_can_be_nobodys_is_its_customers_fault_alone(home: Settings) -> None:
    of = bundles.shop(key=Key("account", type="integer"))
    version = loaded(home, of)
    bundles.remember(home, of, {7: ANN})
    fine, faulty = predictions(version, {"account": 7}, {"account": "x"}, partial=True)
    assert fine.customer_id == 7
    assert [fault.path for fault in faulty.error["details"]] == ["instances[1].account"]


def test_a_bundle_of_another_model_is_refused(settings: Settings, shop: Version) -> None:
    with pytest.raises(UserError, match="is a model of 'shop', not of 'garage'"):
        loader(settings).load("garage", shop.variant)


def test_a_bundle_under_another_digest_is_refused(settings: Settings, shop: Version) -> None:
    with pytest.raises(UserError, match="has the digest"):
        loader(settings).load("shop", Variant(1, "0" * 64, shop.variant.bundle))


def test_a_bundle_that_answers_its_example_wrongly_is_refused(home: Settings) -> None:
    wrong = bundles.publish(home, bundles.shop(), wrong_by=0.01)
    with pytest.raises(UserError, match="answers its own example wrongly"):
        loader(home).load("shop", wrong)


def test_the_contract_is_described_to_the_log_and_the_time_to_load_measured(home: Settings) -> None:
    variant, metrics = bundles.publish(home, bundles.shop()), Metrics()
    described: list[str] = []
    made = Loader(home, ServingSettings.load({}, home), metrics, lambda contract: described.append(contract.digest))
    version = made.load("shop", variant)
    assert described == [version.layout] == [bundles.shop().digest]
    assert metrics.load_seconds._value.get() > 0


def test_the_training_date_is_what_promotion_left_beside_the_bundle(home: Settings) -> None:
    variant = bundles.publish(home, bundles.shop())
    assert loader(home).load("shop", variant).trained_as_of is None
    Path(variant.bundle, PROVENANCE).write_text('{"as_of": "2026-03-01T00:00:00Z", "run": "r1"}')
    assert loader(home).load("shop", variant).trained_as_of == "2026-03-01T00:00:00Z"


def test_unusual_values_are_those_outside_of_training_and_those_missing(shop: Version) -> None:
    usual = [(low + high) / 2 for low, high in shop.bundle.manifest.spans]
    assert shop.unusual(np.array([usual])) is None
    odd = shop.unusual(np.array([usual, [*usual[:-1], np.nan], [*usual[:-1], 1e6]]))
    assert odd is not None
    assert odd.sum(axis=0).tolist() == [0, 0, 0, 0, 0, 2]


def all_nullable() -> dict[str, Column]:
    return {name: msgspec.structs.replace(column, nullable=True) for name, column in bundles.shop().columns.items()}
