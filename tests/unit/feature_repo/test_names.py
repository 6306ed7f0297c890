from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn.domain import contract as contracts
from feature_repo import names

KEYLESS = "{name: telco-2, target: {column: left, positive: 1}, columns: {age: {type: number}}}"
KEYED = KEYLESS.replace("target:", "key: {column: customer_id, type: integer}, target:")
COLUMNS = st.from_regex(r"[a-z_][a-z0-9_]{0,6}(_y)?_{0,3}|rn_{0,3}|entity_row_id_?", fullmatch=True)


def test_a_contract_has_a_project_and_its_digest_names_the_rest() -> None:
    made = contracts.parse(KEYED)
    digest = made.digest[:12]
    assert names.project(made) == "telco_2"
    assert (names.raw_view(made), names.derived_view(made)) == (f"raw_{digest}", f"derived_{digest}")
    assert names.service(made) == f"model_{digest}"
    assert names.layout(made) == names.Layout(project="telco_2", view=f"raw_{digest}")


def test_the_key_is_the_contracts_or_the_rows_content() -> None:
    assert (names.key(contracts.parse(KEYED)), names.key_type(contracts.parse(KEYED))) == ("customer_id", pa.int64())
    assert (names.key(contracts.parse(KEYLESS)), names.key_type(contracts.parse(KEYLESS))) == ("entity_id", pa.string())


@pytest.mark.parametrize("source", ["/x/y", "/x/y/", "s3://bucket/y"])
def test_sources_lie_beside_each_other(source: str) -> None:
    folder = source.rstrip("/")
    assert names.raw_source(source) == f"{folder}/raw.parquet"
    assert names.derived_source(source) == f"{folder}/derived.parquet"


@given(COLUMNS)
def test_no_column_keeps_a_name_that_feast_swallows(column: str) -> None:
    field = names.field(column)
    assert not field.endswith("_y")
    assert field not in {"rn", "entity_row_id", "event_expire_timestamp", "__log_date"}
    assert field.startswith(column)


@given(st.sets(COLUMNS))
def test_two_columns_never_meet_under_one_name(columns: set[str]) -> None:
    assert len({names.field(column) for column in columns}) == len(columns)


def test_most_columns_keep_their_names() -> None:
    assert names.field("monthly_charges") == "monthly_charges"
    assert names.field("loyalty") == "loyalty"
