"""The quick way takes only what the parser of the training data takes, and makes the same of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn.domain import contract as contracts
from churn.domain import encoding, parsing
from components.score.encoder import Encoder

TERMS = contracts.parse("""
name: shop
key: {column: customer}
target: {column: gone, positive: "yes", negative: "no"}
columns:
  plan: {type: category, source: Plan, categories: [basic, plus, "1"], cleaning: {spelling: {BASIC: basic}}}
  region: {type: category, categories: ["true", "false"], nullable: true}
  visits: {type: integer, range: [0, 100]}
  steps: {type: integer, nullable: true}
  spend: {type: number, range: [0, 1000], nullable: true}
  paid: {type: number, cleaning: {constant: 0}}
""")

WORDS = st.sampled_from(["basic", " plus ", "BASIC", "1", "1.0", "", "NA", "gold", "true", "TRUE", None])
NUMBERS = st.one_of(
    st.none(),
    st.sampled_from([0.0, -0.0, 1.5, 100.0, 100.5, -1.0, float("nan"), float("inf"), 2.0**53, -(2.0**53), 1e300]),
    st.floats(-10, 1100),
)
TEXTS = st.sampled_from(["1", " 7 ", "1e2", "+5", "1.5", "soon", "", "nan", "9007199254740993", "1000.01", None])
INTEGERS = st.one_of(st.none(), st.integers(-5, 120), st.sampled_from([2**53, 2**53 + 1, -(2**53), 2**63 - 1]))


def columns(values: st.SearchStrategy[Any], kinds: list[pa.DataType]) -> st.SearchStrategy[pa.Array]:
    rows = st.lists(values, min_size=6, max_size=6)
    return st.tuples(rows, st.sampled_from(kinds)).map(lambda made: pa.array(made[0], made[1]))


CATEGORY = st.one_of(
    columns(WORDS, [pa.string(), pa.large_string()]),
    columns(WORDS, [pa.string()]).map(lambda values: values.dictionary_encode()),
    columns(st.sampled_from([0, 1, 2, None]), [pa.int64(), pa.int8()]),
    columns(st.booleans(), [pa.bool_()]),
)
NUMBER = st.one_of(
    columns(NUMBERS, [pa.float64()]),
    columns(NUMBERS.filter(lambda value: value is None or not 1e30 <= abs(value) < 1e301), [pa.float32()]),
    columns(INTEGERS, [pa.int64()]),
    columns(TEXTS, [pa.string()]),
    columns(st.booleans(), [pa.bool_()]),
)


@given(st.tuples(CATEGORY, CATEGORY, NUMBER, NUMBER, NUMBER, NUMBER))
def test_what_is_not_doubtful_is_what_the_parser_takes_and_reads(values: tuple[pa.Array, ...]) -> None:
    table = pa.table(dict(zip(["Plan", *TERMS.raw[1:]], values, strict=True)))
    found, doubtful = Encoder(TERMS).encode(table)

    parsed = parsing.parse(TERMS, table)
    faults = parsing.check(TERMS, parsed).to_pylist()
    bad = {fault["row"] for fault in faults if fault["column"] in TERMS.columns}
    sure = np.nonzero(~doubtful)[0]
    assert not bad & set(sure.tolist())
    np.testing.assert_array_equal(found[sure], encoding.encode(TERMS, parsed.table.take(pa.array(sure))))


def good(rows: int = 4) -> dict[str, pa.Array]:
    return {
        "Plan": pa.array(["basic"] * rows), "region": pa.array(["true"] * rows), "visits": pa.array([1] * rows),
        "steps": pa.array([None] * rows, pa.int64()), "spend": pa.array([1.5] * rows), "paid": pa.array([0.5] * rows),
    }  # fmt: skip


def test_plain_rows_are_not_doubtful() -> None:
    found, doubtful = Encoder(TERMS).encode(pa.table(good()))
    assert not doubtful.any()
    assert found[0].tolist()[:3] == [0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Plan", ["basic", "gold", None, "NA"]),
        ("visits", [1, 101, -1, None]),
        ("visits", [1.0, 1.5, float("inf"), float("nan")]),
        ("spend", [1.0, -0.5, 1000.5, float("-inf")]),
        ("visits", ["1", "one", "", "101"]),
    ],
)
def test_each_kind_of_bad_value_is_doubtful(name: str, values: list[Any]) -> None:
    _, doubtful = Encoder(TERMS).encode(pa.table({**good(), name: pa.array(values)}))
    assert doubtful.tolist() == [False, True, True, True]


def test_another_dictionary_in_the_next_rows_is_seen() -> None:
    encoder = Encoder(TERMS)
    for words, codes in ((["plus", "basic"], [1.0, 0.0]), (["basic", "plus"], [0.0, 1.0])):
        table = pa.table({**good(2), "Plan": pa.array(words).dictionary_encode()})
        assert encoder.encode(table)[0][:, 0].tolist() == codes
