from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn.domain import parsing
from churn.domain.contract import Contract, parse
from churn.domain.errors import UserError

SHOP = """
name: shop
key: {column: customer, source: "No", type: integer}
event_timestamp: {column: seen, source: Seen on}
target: {column: gone, positive: "yes", negative: "no"}
columns:
  plan: {type: category, categories: [basic, plus, NA], cleaning: {spelling: {"0": basic, "true": plus}}}
  visits: {type: integer, range: [0, 100]}
  spend: {type: number, source: Spend in EUR, nullable: true}
"""


@pytest.fixture
def shop() -> Contract:
    return parse(SHOP)


def column(contract: Contract, source: str, values: pa.Array, name: str = "") -> list[object]:
    """The parsed values of one column."""
    return parsing.parse(contract, pa.table({source: values})).table[name or source].to_pylist()


def test_the_parsed_table_has_the_contracts_names_and_types(shop: Contract) -> None:
    row = {"No": ["7"], "Seen on": ["2026-01-31"], "plan": ["0"], "visits": ["3"], "Spend in EUR": ["1.5"]}
    parsed = parsing.parse(shop, pa.table({**row, "gone": ["Yes"], "extra": ["x"]}))

    assert dict(zip(parsed.table.schema.names, parsed.table.schema.types, strict=True)) == parsing.types(shop)
    assert parsed.table.to_pylist() == [
        {
            "customer": 7,
            "event_timestamp": datetime(2026, 1, 31, tzinfo=UTC),
            "plan": "basic",
            "visits": 3,
            "spend": 1.5,
            "gone": 1,
        }
    ]
    assert parsed.faults.num_rows == 0


def test_a_column_that_the_table_lacks_comes_out_null_without_a_fault(shop: Contract) -> None:
    parsed = parsing.parse(shop, pa.table({"visits": ["1", "2"]}))

    assert parsed.table["spend"].null_count == 2
    assert parsed.faults.num_rows == 0


@pytest.mark.parametrize("word", ["", "  ", "NA", " N/A ", "NaN", "null", None])
def test_missing_words_are_null_and_no_fault(word: str | None, shop: Contract) -> None:
    parsed = parsing.parse(shop, pa.table({"Spend in EUR": pa.array([word], pa.string())}))

    assert parsed.table["spend"].to_pylist() == [None]
    assert parsed.faults.num_rows == 0


def test_a_missing_word_that_names_a_category_is_that_category(shop: Contract) -> None:
    assert column(shop, "plan", pa.array(["NA", "null"])) == ["NA", None]


@pytest.mark.parametrize(
    ("values", "parsed"),
    [
        (pa.array(["1", "-1", "+1", " 1.5 ", ".5", "2.", "1e2", "1E-2"]), [1, -1, 1, 1.5, 0.5, 2, 100, 0.01]),
        (pa.array(["one", "1,5", "1 000", "0x1F", "1_0", "inf", "--1", "1e999", "∞", "٣"]), [None] * 10),
        (pa.array([1.5, float("nan"), float("inf"), None]), [1.5, None, None, None]),
        (pa.array([Decimal("1.25"), None]), [1.25, None]),
        (pa.array([2**53 + 1, -3]), [float(2**53), -3.0]),
        (pa.array([True, False]), [None, None]),
        (pa.array([date(2026, 1, 1)]), [None]),
        (pa.array([[1.0]]), [None]),
        (pa.array([{"a": 1}]), [None]),
        (pa.array([b"1", b"\xff"]), [None, None]),
        (pa.nulls(2), [None, None]),
    ],
)
def test_numbers(values: pa.Array, parsed: list[float | None], shop: Contract) -> None:
    assert column(shop, "Spend in EUR", values, "spend") == parsed


@pytest.mark.parametrize(
    ("values", "parsed"),
    [
        (pa.array(["1", "+1", "-01", "1.0", "1e3", "1.5", "x"]), [1, 1, -1, 1, 1000, None, None]),
        (pa.array([str(2**53), str(2**53 + 1), str(-(2**53)), "9" * 30]), [2**53, None, -(2**53), None]),
        (pa.array([2**53, 2**53 + 1, -(2**63)]), [2**53, None, None]),
        (pa.array([2**64 - 1, 5], pa.uint64()), [None, 5]),
        (pa.array([1.0, 1.5, -0.0, 2.0**60]), [1, None, 0, None]),
        (pa.array([7], pa.int8()), [7]),
        (pa.array([True]), [None]),
    ],
)
def test_integers_are_exact_or_faults(values: pa.Array, parsed: list[int | None], shop: Contract) -> None:
    assert column(shop, "visits", values) == parsed


def test_an_integer_key_keeps_all_its_64_bits(shop: Contract) -> None:
    large = [2**53 + 1, 2**63 - 1, -(2**63 - 1)]

    assert column(shop, "No", pa.array([*map(str, large), str(2**63)]), "customer") == [*large, None]
    assert column(shop, "No", pa.array(large), "customer") == large


@pytest.mark.parametrize(
    ("values", "parsed"),
    [
        (pa.array([0, 1]), ["basic", "1"]),
        (pa.array([0.0, 1.5]), ["basic", "1.5"]),
        (pa.array([True, False]), ["plus", "false"]),
        (pa.array([Decimal(0), None]), ["basic", None]),
        (pa.array([" basic", "plus\t"]).dictionary_encode(), ["basic", "plus"]),
        (pa.array(["basic"], pa.large_string()), ["basic"]),
        (pa.array(["basic"], pa.string_view()), ["basic"]),
        (pa.array([b"basic"]), ["basic"]),
        (pa.array([date(2026, 1, 31)]), ["2026-01-31"]),
    ],
)
def test_categories_are_the_text_of_their_values(values: pa.Array, parsed: list[str | None], shop: Contract) -> None:
    assert column(shop, "plan", values) == parsed


@pytest.mark.parametrize(
    ("positive", "negative", "values", "parsed"),
    [
        ('"yes"', '"no"', ["yes", " YES", "no", "perhaps", "", None], [1, 1, 0, None, None, None]),
        ("1", "0", ["1", "1.0", "0", "2"], [1, 1, 0, None]),
        ("1", "0", [1, 0, 2, None], [1, 0, None, None]),
        ("1", "0", [1.0, 0.0, float("nan")], [1, 0, None]),
        ("true", "false", [True, False, None], [1, 0, None]),
        ("true", "false", ["True", "FALSE", "yes"], [1, 0, None]),
        ('"left"', "null", ["left", "stayed", "new", None], [1, 0, 0, None]),
    ],
)
def test_targets(positive: str, negative: str, values: list[object], parsed: list[int | None]) -> None:
    words = f"positive: {positive}, negative: {negative}"
    contract = parse(SHOP.replace('positive: "yes", negative: "no"', words))

    assert column(contract, "gone", pa.array(values)) == parsed


def test_dates_and_times_become_utc() -> None:
    texts = ["2026-01-31", "2026-01-31T12:00:00+02:00", "2026-01-31 12:00:00.5Z", "31.01.2026", "soon"]
    stamps = parsing.timestamps(pa.array(texts)).to_pylist()

    midnight = datetime(2026, 1, 31, tzinfo=UTC)
    assert stamps == [midnight, midnight.replace(hour=10), midnight + timedelta(hours=12, seconds=0.5), None, None]
    assert parsing.timestamps(pa.array([date(2026, 1, 31)])).to_pylist() == [midnight]
    assert parsing.timestamps(pa.array([midnight.replace(tzinfo=None)])).to_pylist() == [midnight]
    assert parsing.timestamps(pa.array([time(1)])).to_pylist() == [None]
    assert parsing.timestamps(pa.array([20260131])).to_pylist() == [None]


def test_a_fault_says_row_column_value_and_problem(shop: Contract) -> None:
    parsed = parsing.parse(shop, pa.table({"visits": ["1", "many", ""], "gone": ["yes", "no", "x" * 200]}))

    assert parsed.faults.to_pylist() == [
        {"row": 1, "column": "visits", "value": "many", "problem": "is not an integer of at most 9007199254740992"},
        {
            "row": 2,
            "column": "gone",
            "value": "x" * 80,
            "problem": "is not a value of the target ('yes' means positive)",
        },
    ]


def test_values_of_any_type_can_be_shown_in_a_fault(shop: Contract) -> None:
    for values in ([[1]], [{"a": 1}], [b"\xff"], [True], [timedelta(1)]):
        assert parsing.parse(shop, pa.table({"visits": values})).faults["value"].to_pylist()[0]


def test_check_tells_each_fault_of_a_row_once(shop: Contract) -> None:
    table = {"No": ["1", None, "3"], "Seen on": ["2026-01-31", "soon", ""], "plan": ["basic", "gold", "plus"]}
    table |= {"visits": ["101", "many", "5"], "Spend in EUR": ["", "", ""], "gone": ["no"] * 3}
    contract = shop
    faults = parsing.check(contract, parsing.parse(contract, pa.table(table)))

    assert [(fault["row"], fault["column"], fault["problem"]) for fault in faults.to_pylist()] == [
        (0, "visits", "is above 100"),
        (1, "event_timestamp", "is not a date or time"),
        (1, "visits", "is not an integer of at most 9007199254740992"),
        (1, "customer", "is missing"),
        (1, "plan", "is none of 'basic', 'plus', 'NA'"),
        (2, "event_timestamp", "is missing"),
    ]


def test_a_table_without_a_needed_column_is_refused(shop: Contract) -> None:
    names = ["No", "Seen on", "plan", "visits", "Spend in EUR", "gone"]
    parsing.require_columns(shop, names, "t.csv")
    parsing.require_columns(shop, names[:-1], "t.csv", labelled=False)

    for lacking in names:
        with pytest.raises(UserError, match=f"t.csv: the column '{lacking}' is missing"):
            parsing.require_columns(shop, [name for name in names if name != lacking], "t.csv")
    with pytest.raises(UserError, match="'plan' stands twice"):
        parsing.require_columns(shop, [*names, "plan"], "t.csv")
    with pytest.raises(UserError, match="and 5 more"):
        parsing.require_columns(shop, ["other"], "t.csv")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_survive_the_way_through_text(numbers: list[float]) -> None:
    texts = pa.array([repr(number) for number in numbers], pa.string())

    assert parsing.numbers(texts).to_pylist() == numbers
    assert parsing.numbers(parsing.text(pa.array(numbers, pa.float64()))).to_pylist() == numbers


@given(st.lists(st.integers(-(2**63) + 1, 2**63 - 1)))
def test_integers_survive_the_way_through_text(integers: list[int]) -> None:
    assert parsing.integers(pa.array([str(one) for one in integers], pa.string())).to_pylist() == integers


@given(st.lists(st.one_of(st.none(), st.text())))
def test_any_text_can_be_parsed(texts: list[str | None]) -> None:
    contract = parse(SHOP)
    sources = [contract.source_of(name) for name in ("customer", "seen", *contract.raw, "gone")]
    values = pa.array(texts, pa.string())
    parsed = parsing.parse(contract, pa.table([values] * len(sources), names=sources))

    assert parsing.check(contract, parsed).num_rows >= parsed.faults.num_rows
    assert parsed.table.num_rows == len(texts)
