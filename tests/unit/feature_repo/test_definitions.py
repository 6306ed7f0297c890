from __future__ import annotations

from datetime import timedelta

from churn.domain import contract as contracts
from feature_repo import names
from feature_repo.definitions import define
from feature_repo.quiet import feast, types

CONTRACT = """
name: telco
description: who leaves
key: {column: customer_id}
target: {column: left, positive: "Yes"}
ttl_days: 30
columns:
  tenure: {type: integer, unit: months, description: since the first day}
  charge: {type: number}
  plan_y: {type: category, categories: [a, b]}
derived:
  loyal: {flag: tenure > 24, told_as: tenure}
  double: {formula: charge * 2, told_as: charge, unit: dollars}
  band: {bin: tenure, edges: [12], labels: [new, old], told_as: tenure}
"""
MADE = contracts.parse(CONTRACT)
ENTITY, RAW, DERIVED, SERVICE = define(MADE, "s3://bucket/features")


def test_the_entity_is_the_key() -> None:
    assert (ENTITY.name, ENTITY.join_key, ENTITY.value_type) == ("customer_id", "customer_id", feast.ValueType.STRING)


def test_views_are_typed_as_the_contract_is() -> None:
    assert {field.name: field.dtype for field in RAW.schema if field.name != "customer_id"} == {
        "tenure": types.Int64,
        "charge": types.Float64,
        "plan_y_": types.String,
    }
    assert {field.name: field.dtype for field in DERIVED.schema if field.name != "customer_id"} == {
        "loyal": types.Int64,
        "double": types.Float64,
        "band": types.String,
    }


def test_only_the_raw_view_is_online_and_both_forget() -> None:
    assert (RAW.online, DERIVED.online) == (True, False)
    assert RAW.ttl == DERIVED.ttl == timedelta(days=30)


def test_views_read_the_files_of_a_run() -> None:
    assert RAW.batch_source.path == "s3://bucket/features/raw.parquet"
    assert DERIVED.batch_source.path == "s3://bucket/features/derived.parquet"
    assert RAW.batch_source.timestamp_field == "event_timestamp"
    assert RAW.batch_source.field_mapping == {"plan_y": "plan_y_"}


def test_features_carry_what_the_contract_says_of_them() -> None:
    (tenure,) = (field for field in RAW.schema if field.name == "tenure")
    assert (tenure.description, tenure.tags) == ("since the first day", {"unit": "months"})
    assert RAW.tags == {"contract": "telco", "digest": MADE.digest}


def test_the_service_has_all_features() -> None:
    assert SERVICE.name == names.service(MADE)
    held = [field.name for projection in SERVICE.feature_view_projections for field in projection.features]
    assert sorted(held) == sorted(names.field(feature) for feature in MADE.features)
