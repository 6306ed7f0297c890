from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churn.domain import parsing
from churn.domain.contract import parse
from components.validate import step
from components.validate.report import Example, Fault, Outcomes, page
from components.validate.schema import faults, schema
from tests.unit.components.validate.conftest import AS_OF, SHOP, Examine

Columns = dict[str, list[str | None]]
DATED = SHOP.replace("columns:", "event_timestamp: {column: seen, source: Seen on}\ncolumns:", 1)
KEYLESS = SHOP.replace("key: {column: customer, source: Customer No}\n", "")


def test_valid_rows_have_the_contracts_names_types_and_spelling(examine: Examine, shop: Columns) -> None:
    valid = examine(shop).valid

    stamp = pa.timestamp("us", tz="UTC")
    types = [pa.string(), stamp, pa.string(), pa.int64(), pa.float64(), pa.int64()]
    assert valid.schema.names == ["customer", "event_timestamp", "plan", "visits", "spend", "gone"]
    assert valid.schema.types == types
    assert valid["plan"].to_pylist() == ["basic", "basic", "plus", "plus", "basic", "plus", "basic", "plus"]
    assert valid["spend"].to_pylist() == [1.5, None, None, 7.0, 100.0, 0.0, 999.99, 1000.0]
    assert valid["gone"].to_pylist() == [1, 0, 0, 1, 0, None, 0, 1]
    assert set(valid["event_timestamp"].to_pylist()) == {datetime.fromisoformat(AS_OF)}


def test_rows_of_a_good_table_are_all_counted_as_valid(examine: Examine, shop: Columns) -> None:
    done = examine(shop)

    report = done.report
    assert (report.rows, report.duplicates, report.quarantined, report.valid) == (8, 0, 0, 8)
    assert report.outcomes == Outcomes(positive=3, negative=4, unlabelled=1)
    assert report.faults == ()
    assert done.quarantine.num_rows == 0
    done.refuse()


def test_a_bad_row_is_set_aside_with_all_its_faults_and_the_columns_of_the_source(
    examine: Examine, shop: Columns
) -> None:
    shop["Plan"][2], shop["visits"][2], shop["spend"][2], shop["Gone"][2] = "gold", "many", "-1", "perhaps"
    shop["visits"][6] = "101"
    done = examine(shop)

    assert done.quarantine.column_names == [*shop, "row", "reasons"]
    assert done.quarantine["row"].to_pylist() == [3, 7]
    first, second = done.quarantine["reasons"].to_pylist()
    assert first.split("; ") == [
        "visits 'many' is not an integer of at most 9007199254740992",
        "gone 'perhaps' is not a value of the target ('yes' means positive)",
        "plan 'gold' is none of 'basic', 'plus'",
        "spend '-1' is below 0",
    ]
    assert second == "visits '101' is above 100"
    assert done.quarantine["Plan"].to_pylist() == ["gold", "basic"]
    assert done.valid["customer"].to_pylist() == ["c0", "c1", "c3", "c4", "c5", "c7"]
    done.refuse()  # two of eight are no more than the contract allows


def test_faults_are_counted_by_column_and_kind_with_examples(examine: Examine, shop: Columns) -> None:
    shop["visits"][1], shop["visits"][4], shop["visits"][5] = "-3", "-4", None
    report = examine(shop).report

    assert report.faults == (
        Fault(
            column="visits",
            source="visits",
            problem="is below 0",
            rows=2,
            examples=(Example(2, "-3"), Example(5, "-4")),
        ),
        Fault(column="visits", source="visits", problem="is missing", rows=1, examples=(Example(6, None),)),
    )
    assert report.quarantined == 3
    assert report.bad_share == 0.375


def test_rows_equal_in_every_column_count_once(examine: Examine, shop: Columns) -> None:
    doubled = {name: [*values, values[0], *values] for name, values in shop.items()}
    doubled["visits"][9] = "-1"  # no longer a duplicate
    report = examine(doubled).report

    assert (report.rows, report.duplicates, report.quarantined, report.valid) == (17, 8, 1, 8)
    assert report.faults[0].examples == (Example(10, "-1"),)


def test_rows_that_differ_in_a_column_the_contract_ignores_are_no_duplicates(examine: Examine, shop: Columns) -> None:
    doubled = {name: values + values for name, values in shop.items()}
    doubled["remark"] = [str(i) for i in range(16)]
    done = examine(doubled)

    assert done.report.duplicates == 0
    assert done.report.repeated_keys.keys == 8
    with pytest.raises(Exception, match="the rows 1, 9"):
        done.refuse()


def test_one_customer_may_have_rows_at_several_times(examine: Examine, shop: Columns) -> None:
    dated = {name: values + values for name, values in shop.items()}
    dated["Seen on"] = ["2026-01-01"] * 8 + ["2026-02-01T12:00:00+01:00"] * 8
    done = examine(dated, DATED)

    assert done.report.repeated_keys.keys == 0
    assert set(done.valid["event_timestamp"].to_pylist()) == {
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 2, 1, 11, tzinfo=UTC),
    }
    done.refuse()


def test_a_row_without_a_key_or_a_date_is_set_aside(examine: Examine, shop: Columns) -> None:
    shop["Seen on"] = ["2026-01-01", "soon", "", *["2026-01-01"] * 5]
    shop["Customer No"][7] = " "
    done = examine(shop, DATED)

    assert done.quarantine["row"].to_pylist() == [2, 3, 8]
    assert done.quarantine["reasons"].to_pylist() == [
        "event_timestamp 'soon' is not a date or time",
        "event_timestamp is missing",
        "customer is missing",
    ]
    assert {fault.source for fault in done.report.faults} == {"Seen on", "Customer No"}


def test_keys_are_never_shown_in_the_report(examine: Examine, shop: Columns) -> None:
    shop["Customer No"] = ["1", "2", "3", "4", "secret-5", "6", "7", "8"]
    integers = SHOP.replace("source: Customer No}", "source: Customer No, type: integer}")
    report = examine(shop, integers).report

    assert report.faults[0].examples == (Example(5, None),)
    assert "secret" not in page(report)


def test_a_column_mostly_missing_is_reported_and_kept(examine: Examine, shop: Columns) -> None:
    shop["spend"] = ["1", "2", "3", *[""] * 5]
    done = examine(shop)

    seen = done.report.columns["spend"]
    assert (seen.missing, seen.missing_share, seen.mostly_missing) == (5, 0.625, True)
    assert not done.report.columns["gone"].mostly_missing
    done.refuse()


def test_a_source_may_have_columns_of_any_name(examine: Examine, shop: Columns) -> None:
    table = pa.table(shop).append_column("row", [["x"] * 8]).append_column("reasons", [["y"] * 8])
    table = table.append_column('odd "name"; ', [["z"] * 8]).append_column("", [["é"] * 8])
    done = examine(table.set_column(2, "visits", [["-1", *shop["visits"][1:]]]))

    assert done.quarantine.num_rows == 1
    assert done.quarantine["row"].to_pylist() == ["x"]
    assert done.quarantine["row_"].to_pylist() == [1]
    assert done.quarantine["reasons_"].to_pylist() == ["visits '-1' is below 0"]


def test_typed_columns_are_validated_like_their_text(examine: Examine, shop: Columns) -> None:
    typed = pa.table(
        {
            "Customer No": pa.array(shop["Customer No"]).dictionary_encode(),
            "Plan": pa.array(shop["Plan"], pa.large_string()),
            "visits": pa.array([0, 1, 2, 3, 4, 5, 6, 100], pa.uint8()),
            "spend": [1.5, None, float("nan"), 7.0, 100.0, 0.0, 999.99, 1000.0],
            "Gone": shop["Gone"],
            "remark": [[1]] * 8,
        }
    )
    assert examine(typed).valid.equals(examine(shop).valid)


@pytest.mark.parametrize("rows", [1, 3, 7])
def test_the_outcome_does_not_depend_on_the_batches(
    rows: int, examine: Examine, shop: Columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubled = {name: [*values, values[2], *values[4:]] for name, values in shop.items()}
    doubled["Plan"][3] = doubled["Plan"][10] = "gold"
    whole = examine(doubled)
    monkeypatch.setattr(step, "BATCH_ROWS", rows)
    parts = examine(doubled)

    assert parts.report == whole.report
    assert parts.valid.equals(whole.valid)
    assert parts.quarantine.equals(whole.quarantine)


def test_the_page_shows_the_counts_and_escapes_what_the_table_holds(examine: Examine, shop: Columns) -> None:
    shop["Plan"][0] = "<script>alert(1)</script>"
    shop["Plan"][1] = "gold"
    text = page(examine(shop).report)

    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "is none of &#39;basic&#39;, &#39;plus&#39;" in text
    assert "25 %" in text


def test_rows_without_a_key_are_known_by_their_features(examine: Examine, shop: Columns) -> None:
    first = examine(shop, KEYLESS).valid
    shop["Gone"] = ["no", "yes", *shop["Gone"][2:]]
    shop["spend"][7] = "1000.50"
    second = examine({**shop, "remark": ["x"] * 8}, KEYLESS.replace("range: [0, 1000]", "range: [0, 2000]")).valid

    assert first.schema.names[:2] == ["entity_id", "event_timestamp"]
    assert first["entity_id"][:7] == second["entity_id"][:7]
    assert first["entity_id"][7] != second["entity_id"][7]
    assert len(set(first["entity_id"].to_pylist())) == 8


def test_the_id_of_a_row_without_a_key_never_changes(examine: Examine, shop: Columns) -> None:
    texts = ["basic\x1f0\x1f1.5", "basic\x1f1\x1f\0"]

    assert examine(shop, KEYLESS).valid["entity_id"][:2].to_pylist() == [
        hashlib.sha256(text.encode()).hexdigest()[:32] for text in texts
    ]


cells = st.one_of(
    st.none(),
    st.sampled_from(["", "basic", "BASIC", "gold", "0", "100", "101", "-1", "1.5", "nan", "1e400", "yes", "no", "NA"]),
    st.text(max_size=3),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(cells, cells, cells, cells, cells), min_size=1, max_size=12))
def test_pandera_finds_what_the_rules_find_row_by_row(rows: list[tuple[str | None, ...]]) -> None:
    contract = parse(SHOP)
    names = ["Customer No", "Plan", "visits", "spend", "Gone"]
    table = pa.table([pa.array(values, pa.string()) for values in zip(*rows, strict=True)], names=names)
    parsed = parsing.parse(contract, table)
    order = [("row", "ascending"), ("column", "ascending"), ("problem", "ascending")]

    assert faults(schema(contract), parsed).sort_by(order) == parsing.check(contract, parsed).sort_by(order)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(cells, cells, cells, cells, cells), min_size=1, max_size=30))
def test_every_row_is_valid_quarantined_or_a_duplicate(rows: list[tuple[str | None, ...]], examine: Examine) -> None:
    names = ["Customer No", "Plan", "visits", "spend", "Gone"]
    done = examine(pa.table([pa.array(values, pa.string()) for values in zip(*rows, strict=True)], names=names))

    assert done.report.duplicates == len(rows) - len(set(rows))
    assert done.report.valid == done.valid.num_rows
    assert done.report.quarantined == done.quarantine.num_rows
    assert done.report.rows == done.report.duplicates + done.valid.num_rows + done.quarantine.num_rows
    assert done.valid["customer"].null_count == done.valid["plan"].null_count == done.valid["visits"].null_count == 0
    assert all(done.quarantine["reasons"].to_pylist())
