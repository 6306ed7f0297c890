from __future__ import annotations

import math
import os
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn.domain import parsing, strict_yaml
from churn.domain.contract import Cleaning, Column, Contract, EventTimestamp, Key, Target, parse
from churn.domain.drafting import draft
from churn.domain.drafting.names import identifiers, model_name
from churn.domain.drafting.profile import SAMPLE_ROWS, profile
from churn.domain.drafting.scalars import mapping, scalar, sequence
from churn.domain.errors import UserError

ROWS = 400
TELCO = Path(os.environ.get("CHURN_TELCO_CSV") or Path(__file__).resolve().parents[4] / "shared/data/telco.csv")


def rng(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def table(**columns: object) -> pa.Table:
    """A table with a target `churn` that the other columns say nothing of."""
    left = np.where(rng(8).random(ROWS) < 0.3, "Yes", "No")
    return pa.table({"amount": np.round(rng().random(ROWS) * 50, 2), "churn": left, **columns})


def drafted(source: pa.Table, target: str = "churn", **named: str) -> Contract:
    """The drafted contract of a table, once it is sure that the table keeps it."""
    contract = parse(draft(source.to_batches(97), target=target, **named))
    faults = parsing.check(contract, parsing.parse(contract, source))
    assert faults.to_pylist() == []
    return contract


def left_out(source: pa.Table, **named: str) -> dict[str, str]:
    """Why columns are left out, by their names in the source."""
    lines = draft(source.to_batches(), target="churn", **named).split("# Left out:\n")[1].splitlines()
    return dict(line.removeprefix("# - '").split("': ", 1) for line in lines)


def cycle(*values: object) -> list[object]:
    return [values[i % len(values)] for i in range(ROWS)]


def as_text(source: pa.Table) -> pa.Table:
    """The table as it comes out of a CSV file."""
    sink = pa.BufferOutputStream()
    pa.csv.write_csv(source, sink)
    types = dict.fromkeys(source.column_names, pa.string())
    return pa.csv.read_csv(pa.BufferReader(sink.getvalue()), convert_options=pa.csv.ConvertOptions(column_types=types))


@pytest.mark.skipif(not TELCO.is_file(), reason=f"the IBM Telco sample is not at {TELCO}; set CHURN_TELCO_CSV")
def test_the_telco_sample_is_drafted_as_a_person_would() -> None:
    header = TELCO.read_text(encoding="utf-8").split("\n", 1)[0].split(",")
    types = pa.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()))
    contract = drafted(pa.csv.read_csv(TELCO, convert_options=types), "Churn", key="customerID")

    assert contract.key == Key("customer_id", "customerID", "string")
    assert contract.target == Target("churn", "Yes", "No", "Churn", 30)
    assert len(contract.columns) == 19
    assert contract.columns["tenure"] == Column("integer", range=(0, 150))
    assert contract.columns["contract"].categories == ("Month-to-month", "One year", "Two year")
    assert contract.columns["total_charges"] == Column(
        "number", source="TotalCharges", range=(0, 18000), nullable=True, cleaning=Cleaning(fill="median")
    )


def test_numbers_have_the_range_seen_widened_by_itself_to_round_ends() -> None:
    contract = drafted(
        table(
            age=cycle(18, 30, 92),
            balance=cycle(-120.5, 80.25),
            share=cycle(0.2, 0.7),
            flag=cycle(0, 1),
            loss=cycle(-9.5, -1.5),
            tiny=cycle(1e-7, 3e-7),
            large=cycle(1.5e20, 4e20),
        )
    )
    ranges = {name: column.range for name, column in contract.columns.items()}

    assert ranges["age"] == (0, 170)
    assert ranges["balance"] == (-330, 290)
    assert ranges["share"] == ranges["flag"] == (0, 1)
    assert ranges["loss"] == (-18, 0)
    assert ranges["tiny"] == (0, 1)
    assert ranges["large"] == (0, 6.5e20)
    types = {name: column.type for name, column in contract.columns.items()}
    assert types["age"] == types["flag"] == "integer"
    assert types["balance"] == types["share"] == "number"


def test_numbers_are_typed_alike_as_text_and_as_numbers() -> None:
    source = table(age=cycle(18, 30, 92), balance=cycle(-120.5, 80.25))

    assert drafted(as_text(source)) == drafted(source)


def test_whole_floats_are_integers_only_where_nulls_made_them_floats() -> None:
    contract = drafted(table(visits=cycle(1.0, None, 3.0), price=cycle(1.0, 2.0)))

    assert contract.columns["visits"].type == "integer"
    assert contract.columns["price"].type == "number"


def test_missing_values_make_a_column_nullable_and_numbers_filled() -> None:
    contract = drafted(table(visits=cycle("1", "", "3"), plan=cycle("a", "b", None)))

    assert contract.columns["visits"].nullable
    assert contract.columns["visits"].cleaning == Cleaning(fill="median")
    assert contract.columns["plan"] == Column("category", categories=("a", "b"), nullable=True)
    assert not contract.columns["amount"].nullable


@pytest.mark.parametrize("word", ["?", "-", "unknown", "None"])
def test_words_that_stand_for_no_number_become_missing_words(word: str) -> None:
    contract = drafted(table(visits=cycle("1", "2", word, "4"), plan=cycle("a", "b", word)))

    assert contract.columns["visits"] == Column(
        "integer", range=(0, 7), nullable=True, cleaning=Cleaning(fill="median")
    )
    assert contract.validation.missing[-1] == word
    assert word in contract.columns["plan"].categories


def test_a_word_with_digits_among_numbers_is_a_category_of_its_own() -> None:
    assert drafted(table(children=cycle("0", "1", "2", "3+"))).columns["children"].categories == ("0", "1", "2", "3+")


def test_spellings_that_differ_by_case_and_blanks_are_one_category() -> None:
    contract = drafted(table(city=cycle("Bern", "bern", "Bern", " BERN ", "New  York", "New York", "New York")))

    assert contract.columns["city"].categories == ("Bern", "New York")
    assert contract.columns["city"].cleaning.spelling == {"bern": "Bern", "BERN": "Bern", "New  York": "New York"}


@pytest.mark.parametrize("values", [(True, False, None), ("True", "False", ""), ("TRUE", "false", "NA")])
def test_truth_values_are_a_category_however_they_are_spelled(values: tuple[object, ...]) -> None:
    column = drafted(table(active=cycle(*values))).columns["active"]

    assert column.categories == ("false", "true")
    assert column.nullable
    spelling = column.cleaning.spelling
    assert spelling["True"] == "true"
    assert spelling["False"] == "false"


def test_codes_are_categories_or_left_out() -> None:
    source = table(
        area_code=cycle(408, 415, 510),
        plan=cycle("01", "02", "10"),
        zip_code=[10_000 + i % 150 for i in range(ROWS)],
    )
    contract = drafted(source)

    assert contract.columns["area_code"].categories == ("408", "415", "510")
    assert contract.columns["plan"].categories == ("01", "02", "10")
    assert "code" in left_out(source)["zip_code"]


def test_what_identifies_a_customer_is_left_out() -> None:
    source = table(
        customer=[f"c{i * 7919 % 1000:04d}" for i in range(ROWS)],
        CustomerId=[15_000_000 + i * 37 for i in range(ROWS)],
        position=range(ROWS),
        huge=[2**60 + i for i in range(ROWS)],
        salary=[1_000 + i * 37 for i in range(ROWS)],
    )
    reasons = left_out(source)

    assert {name for name, reason in reasons.items() if "identifier" in reason} == {
        "customer",
        "CustomerId",
        "position",
        "huge",
    }
    assert "salary" in drafted(source).columns
    text = draft(source.to_batches(), target="churn")
    assert "# 'customer' looks like one: draft again with --key" in text
    assert "'salary' looks like" not in text
    assert parse(text).key is None


def test_text_dates_and_columns_that_never_vary_are_left_out() -> None:
    source = table(
        note=[f"remark {i % 120}" for i in range(ROWS)],
        joined=[date(2024, 1, 1) + timedelta(days=i % 60) for i in range(ROWS)],
        seen=cycle("2024-01-31", "2024-02-28T12:00:00"),
        us_date=cycle("01/31/2024", "2/1/2024"),
        country=["CH"] * ROWS,
        level=cycle(5, None),
        nothing=pa.nulls(ROWS),
        blank=["  "] * ROWS,
        tags=[["a"]] * ROWS,
        gift=cycle("mug", None),
    )
    reasons = left_out(source)

    assert "free text" in reasons["note"]
    assert all("a date" in reasons[name] for name in ("joined", "seen", "us_date"))
    assert "'CH'" in reasons["country"]
    assert "the same" in reasons["level"]
    assert reasons["nothing"] == reasons["blank"] == "no row has a value"
    assert "not supported" in reasons["tags"]
    assert list(drafted(source).columns) == ["amount", "gift"]


def test_columns_that_know_too_much_are_left_out_as_suspected_leaks() -> None:
    base = table()
    left = np.array(base["churn"].to_pylist()) == "Yes"
    noise = rng().normal(size=ROWS)
    source = base.append_column("score", pa.array(left * 4 + noise)).append_column(
        "Cancel Reason", pa.array(cycle("x", "y"))
    )
    source = source.append_column("refund", pa.array(np.where(left, noise, np.nan)))
    source = source.append_column("stage", pa.array(np.where(left, "closing", np.array(cycle("new", "old")))))
    source = source.append_column("weak", pa.array(left + noise))
    reasons = left_out(source)

    assert {name for name, reason in reasons.items() if "suspected leak" in reason} == set(reasons)
    assert set(reasons) == {"score", "Cancel Reason", "refund", "stage"}
    assert "by its name" in reasons["Cancel Reason"]
    assert "AUC" in reasons["stage"]
    assert "weak" in drafted(source).columns


@pytest.mark.parametrize(
    ("values", "positive", "negative"),
    [
        (("No", "No", "Yes"), "Yes", "No"),
        (("no", "NO ", "yes"), "yes", "no"),
        ((0, 0, 1), 1, 0),
        (("0", "0", "1"), 1, 0),
        ((1.0, 0.0, None, 0.0), 1, 0),
        ((True, True, False), True, False),
        (("True", "False"), "True", "False"),
        (("Existing Customer", "Attrited Customer"), "Attrited Customer", "Existing Customer"),
        (("Stayed", "Churned", ""), "Churned", "Stayed"),
        (("active", "lapsed"), "lapsed", "active"),
        (("A", "A", "B"), "B", "A"),
        (("нет", "да"), "да", "нет"),
    ],
)
def test_the_value_that_means_left_is_guessed(values: tuple[object, ...], positive: object, negative: object) -> None:
    contract = drafted(table(gone=cycle(*values)).drop("churn"), "gone")

    assert (contract.target.positive, contract.target.negative) == (positive, negative)
    assert type(contract.target.positive) is type(positive)


def test_a_positive_value_may_be_given_and_then_the_others_count_as_stayed() -> None:
    source = table(gone=cycle("Stayed", "Churned", "Joined")).drop("churn")

    target = drafted(source, "gone", positive="churned").target
    assert (target.positive, target.negative) == ("Churned", None)
    assert drafted(table(), positive="No").target.positive == "No"


@pytest.mark.parametrize(
    ("values", "positive", "words"),
    [
        (("Stayed", "Churned", "Joined"), "", "3 values: 'Stayed', 'Churned', 'Joined'"),
        (("Stayed", "Churned"), "Chured", "never is 'Chured'"),
        (("Stayed",), "", "fewer than two values .'Stayed'."),
        (tuple(range(ROWS)), "", "too many values"),
        ((None,), "", "fewer than two values"),
    ],
)
def test_a_target_that_is_none_is_refused(values: tuple[object, ...], positive: str, words: str) -> None:
    source = table(gone=pa.array(cycle(*values), pa.string() if values == (None,) else None)).drop("churn")
    with pytest.raises(UserError, match=words) as caught:
        draft(source.to_batches(), target="gone", positive=positive, where="t.csv")
    assert caught.value.where == "t.csv, column gone"
    assert caught.value.remedy


def test_columns_that_are_not_there_are_refused_with_the_nearest_name() -> None:
    source = table(customer=range(ROWS))
    for role in ("target", "key", "timestamp"):
        named = {"target": "churn", role: "custmer"}
        with pytest.raises(UserError, match=r"custmer.*did you mean 'customer'"):
            draft(source.to_batches(), **named)
    with pytest.raises(UserError, match="'churn' is named twice"):
        draft(source.to_batches(), target="churn", key="churn")


def test_key_and_timestamp_are_named_and_are_no_features() -> None:
    source = pa.table(
        {
            "Customer No": pa.array(cycle(1, 2, 3, 4)),
            "Month": [date(2024, 1 + i // 40, 1) for i in range(ROWS)],
            **{name: table()[name] for name in ("amount", "churn")},
        }
    )
    text = draft(source.to_batches(), target="churn", key="Customer No", timestamp="Month")
    contract = parse(text)

    assert contract.key == Key("customer_no", "Customer No", "integer")
    assert contract.event_timestamp == EventTimestamp("month", "Month")
    assert contract.raw == ("amount",)
    assert "Keys repeat" not in text
    assert "Keys repeat" in draft(source.to_batches(), target="churn", key="Customer No")


@pytest.mark.parametrize(
    ("values", "kind"),
    [(("7", "12"), "integer"), (("007", "012"), "string"), (("a", "b"), "string"), ((7, 12), "integer")],
)
def test_keys_are_integers_where_nothing_is_lost(values: tuple[object, ...], kind: str) -> None:
    key = parse(draft(table(no=cycle(*values)).to_batches(), target="churn", key="no")).key

    assert key
    assert key.type == kind


def test_a_timestamp_that_is_no_date_is_refused_with_an_example() -> None:
    source = table(month=cycle("2024-01-31", "31.01.2024"))
    with pytest.raises(UserError, match=r"month.*no dates, such as '31.01.2024'"):
        draft(source.to_batches(), target="churn", timestamp="month")


def test_a_table_without_anything_to_learn_from_is_refused() -> None:
    with pytest.raises(UserError, match=r"no column is left.*'amount'"):
        draft(table(amount=["x"] * ROWS).to_batches(), target="churn")
    with pytest.raises(UserError, match="has no rows"):
        draft(table().slice(0, 0).to_batches(), target="churn")
    with pytest.raises(UserError, match="'a' stands twice"):
        draft(pa.table([[1], [2]], names=["a", "a"]).to_batches(), target="a")


def test_rows_without_an_outcome_are_told() -> None:
    text = draft(table(churn=cycle("Yes", "No", "", "No")).to_batches(), target="churn")

    assert "# 100 rows have no outcome" in text


def test_a_wide_table_of_awkward_types_is_drafted() -> None:
    awkward = {
        "Is Active?": pa.array(cycle(True, False, None)),
        "plan": pa.array(cycle("básico", "premium", "学生: x", "- y", "#z", "yes", "null ")).dictionary_encode(),
        "fee (€)": pa.array(cycle(Decimal("1.10"), Decimal("2.25")), pa.decimal128(8, 2)),
        "f32": pa.array(rng().random(ROWS).astype(np.float32)),
        "u8": pa.array(cycle(1, 200), pa.uint8()),
        "texts": pa.array(cycle("a;b", 'say "no"', "x,y", "line\nbreak", "it's"), pa.large_string()),
        "class": cycle("a", "b"),
        "row": cycle(1, 2, 3),
        "prediction": cycle(1.5, 2.5),
    }
    many = {f"Feature {i}": rng().normal(size=ROWS) * 10.0 ** (i % 12 - 6) for i in range(200)}
    source = table(**awkward, **many)
    contract = drafted(source)

    assert len(contract.columns) == 210
    assert contract.source_of("fee") == "fee (€)"
    assert {"class_value", "row_value", "prediction_value"} <= set(contract.columns)
    assert contract.columns["texts"].categories == ("a;b", "it's", "line\nbreak", 'say "no"', "x,y")


def test_names_are_identifiers_of_their_own() -> None:
    names = identifiers(
        ["Monthly Charges ($)", "MonthlyCharges", "TVStreaming", "2G minutes", "Prénom", "Цена", "class", "max", "__x"]
    )

    assert list(names.values()) == [
        "monthly_charges",
        "monthly_charges_2",
        "tv_streaming",
        "column_2g_minutes",
        "prenom",
        "column_6",
        "class_value",
        "max_value",
        "x",
    ]
    assert model_name("My customers (2024).v2") == "my-customers-2024-v2"
    assert model_name("客户") == "churn"


@given(st.lists(st.text(), unique=True, max_size=30))
def test_any_names_become_names_a_contract_accepts(sources: list[str]) -> None:
    names = identifiers(sources)
    columns = {name: {"type": "number"} for name in names.values()} or {"x": {"type": "number"}}
    text = f"name: t\ntarget: {{column: gone_, positive: 1}}\ncolumns: {columns}"

    assert len(set(names.values())) == len(sources)
    parse(text)


@given(
    st.one_of(
        st.text(),
        st.integers(),
        st.booleans(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from(["yes", "No", "null", "~", "1e5", "0x1F", "2024-01-01", "a: b", "x #y", "-", "=", "12:30:00"]),
    )
)
def test_any_value_is_read_back_from_yaml_as_it_was(value: str | float | bool) -> None:
    for text, back in (
        (f"[{scalar(value)}]", [value]),
        (sequence([value]), [value]),
        (mapping([("k", value)]), {"k": value}),
    ):
        found = strict_yaml.parse(text, "t")
        assert found == back
        assert "\n" not in text


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.text(max_size=5)),
            st.one_of(st.none(), st.floats(-1e38, 1e38), st.just(math.nan)),  # as far as a model can see
            st.one_of(st.none(), st.integers(-(2**62), 2**62)),
            st.booleans(),
        ),
        min_size=4,
        max_size=60,
    )
)
def test_a_table_keeps_the_contract_drafted_from_it(rows: list[tuple[object, ...]]) -> None:
    rows = [*rows, *((None, float(i), i, i % 2 == 0) for i in range(4))]
    kinds = [pa.string(), pa.float64(), pa.int64(), pa.bool_()]
    arrays = [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), kinds, strict=True)]

    drafted(pa.table(arrays, names=["text", "number", "integer", "gone"]), "gone")


def test_memory_holds_a_sample_spread_over_the_whole_table() -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        for first in range(0, 20 * SAMPLE_ROWS, 7_001):
            numbers = range(first, min(first + 7_001, 20 * SAMPLE_ROWS))
            yield pa.record_batch({"n": numbers})

    seen = profile(batches(), "t")
    numbers = seen.sample["n"].to_numpy()

    assert seen.rows == 20 * SAMPLE_ROWS
    assert SAMPLE_ROWS <= len(numbers) <= 2 * SAMPLE_ROWS
    assert len(set(np.diff(numbers))) == 1
    assert numbers[-1] > 19 * SAMPLE_ROWS
    assert seen.columns["n"].high == 20 * SAMPLE_ROWS - 1
    assert seen.columns["n"].values is None
