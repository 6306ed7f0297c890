from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn.domain import contract as contracts
from churn.domain.errors import UserError
from churn.domain.parsing import EXACT
from feature_repo.quiet import Value
from feature_repo.values import entity_key, key_value, plain, refuse_inexact, rows

CONTRACT = """
name: mini
key: {{column: id, type: {key}}}
target: {{column: left, positive: 1}}
columns:
  count: {{type: integer, nullable: true}}
  charge: {{type: number, nullable: true}}
  plan: {{type: category, categories: [a, b], nullable: true}}
"""
TEXT, INTEGER = (contracts.parse(CONTRACT.format(key=key)) for key in ("string", "integer"))
VALUES = st.tuples(
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.floats(allow_nan=False),
    st.none() | st.text(),
)


@given(st.lists(VALUES, max_size=5))
def test_values_survive_the_way_through_feast(values: list[tuple[int | None, float | None, str | None]]) -> None:
    table = pa.table(
        {
            "id": pa.array([f"c{n}" for n in range(len(values))], pa.string()),
            "event_timestamp": pa.array(list(range(len(values))), pa.timestamp("us", tz="UTC")),
            "count": pa.array([count for count, _, _ in values], pa.int64()),
            "charge": pa.array([charge for _, charge, _ in values], pa.float64()),
            "plan": pa.array([plan for _, _, plan in values], pa.string()),
        }
    )
    found = rows(TEXT, table)
    assert [
        tuple(plain(Value.FromString(v.SerializeToString())) for v in row.values()) for _, row, _, _ in found
    ] == values
    assert [key.entity_values[0].string_val for key, *_ in found] == table["id"].to_pylist()
    assert [stamp for _, _, stamp, _ in found] == table["event_timestamp"].to_pylist()


def test_nothing_and_not_a_number_are_none() -> None:
    assert plain(Value()) is None
    assert plain(Value(double_val=float("nan"))) is None
    assert plain(Value(null_val=0)) is None
    assert plain(Value(string_val="")) == ""
    assert plain(Value(int64_val=0)) == 0


def test_keys_are_typed_as_the_contract_says() -> None:
    assert entity_key(INTEGER, 7).entity_values[0].int64_val == 7
    assert entity_key(TEXT, "7").entity_values[0].string_val == "7"
    assert (key_value(INTEGER, "-12"), key_value(INTEGER, 12)) == (-12, 12)
    assert (key_value(TEXT, 12), key_value(TEXT, "0012")) == ("12", "0012")


@pytest.mark.parametrize("given_id", ["", "x", "1.0", "1e3", " 1", "1_0", "٣", str(2**63), -(2**63) - 1])
def test_an_id_that_is_no_integer_is_refused_where_integers_are(given_id: str | int) -> None:
    with pytest.raises(UserError, match=r"^id: "):
        key_value(INTEGER, given_id)


@pytest.mark.parametrize("value", [EXACT + 1, -EXACT - 1])
def test_an_inexact_integer_is_refused(value: int) -> None:
    table = pa.table({"count": [0, None, value], "text": ["a", "b", "c"], "none": pa.nulls(3, pa.int64())})
    with pytest.raises(UserError, match="column count: holds integers beyond 9007199254740992"):
        refuse_inexact(table, ["text", "none", "count"])


def test_the_largest_exact_integers_are_not() -> None:
    refuse_inexact(pa.table({"count": [EXACT, -EXACT, None]}), ["count"])
