from __future__ import annotations

from pathlib import Path

import pytest

from churn.domain import contract
from churn.domain.contract import Contract
from churn.domain.errors import UserError

TELCO = Path(__file__).resolve().parents[3] / "feature_repo/contracts/telco.yaml"

SMALL = """
name: small
key: {column: id}
target: {column: left, positive: 1}
columns:
  tenure: {type: integer, range: [0, 100]}
  plan: {type: category, categories: [basic, gold]}
derived:
  is_new: {flag: tenure < 6, told_as: tenure}
"""

ADVICE = "recommendations: {low: a, medium: b"


def parse(text: str) -> Contract:
    return contract.parse(text, "small.yaml")


def test_the_telco_contract_has_nineteen_columns_and_at_least_22_derived_features() -> None:
    telco = contract.load(TELCO)
    assert len(telco.raw) == 19
    assert len(telco.derived) >= 22


def test_a_contract_survives_being_written_and_read() -> None:
    telco = contract.load(TELCO)
    assert contract.parse(telco.to_yaml()) == telco


def test_the_digest_counts_meaning_not_comments_or_formatting() -> None:
    spaced = SMALL.replace(
        "{type: integer, range: [0, 100]}", "\n    type: integer  # a comment\n    range: [0, 100.0]"
    )
    assert parse(SMALL).digest == parse(spaced).digest
    assert parse(SMALL).digest != parse(SMALL.replace("tenure < 6", "tenure < 7")).digest


def test_the_digest_knows_the_order_of_columns() -> None:
    other = parse(SMALL).columns
    swapped = parse(SMALL.replace("  tenure: {type: integer, range: [0, 100]}\n", "").replace(
        "derived:", "  tenure: {type: integer, range: [0, 100]}\nderived:"))  # fmt: skip
    assert set(swapped.columns) == set(other)
    assert swapped.digest != parse(SMALL).digest


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("range:", "rang:", "did you mean 'range'?"),
        ("positive:", "postive:", "did you mean 'positive'?"),
        ("flag:", "flagg:", "did you mean 'flag'?"),
        ("name: small", "name: small\ncolums: {}", "did you mean 'columns'?"),
        ("name: small", "name: Small One", "cannot name a model"),
        ("type: integer", "type: int", "columns.tenure"),
        ("range: [0, 100]", "range: [100, 0]", "is empty"),
        ("range: [0, 100]", "range: [0, 100], categories: [a]", "has no categories"),
        ("categories: [basic, gold]", "categories: [basic, basic]", "listed twice"),
        ("categories: [basic, gold]", "categories: []", "without categories"),
        (
            "categories: [basic, gold]",
            "categories: [basic, gold], cleaning: {spelling: {g: golt}}",
            "did you mean 'gold'?",
        ),
        ("categories: [basic, gold]", "categories: [basic, gold], cleaning: {fill: median}", "no range, cap or median"),
        (
            "categories: [basic, gold]",
            "categories: [basic, gold], cleaning: {constant: tin}",
            "not one of the categories",
        ),
        ("flag: tenure < 6", "flag: tenor < 6", "did you mean 'tenure'?"),
        ("flag: tenure < 6", "flag: tenure + 6", "is not a condition"),
        ("flag: tenure < 6", "formula: plan", "is not a number"),
        ("flag: tenure < 6", "formula: 1 + 1", "reads no column"),
        ("flag: tenure < 6", "flag: tenure < 6, formula: tenure", "exactly one of"),
        ("flag: tenure < 6", "bin: tenure, edges: [3, 2], labels: [a, b, c]", "must rise"),
        ("flag: tenure < 6", "bin: tenure, edges: [2, 3], labels: [a, b]", "make 3 bins"),
        ("told_as: tenure", "told_as: tenor", "did you mean 'tenure'?"),
        ("  is_new:", "  plan:", "is named twice"),
        ("  plan: {", "  plan: {source: tenure, ", "two columns read the source column 'tenure'"),
        ("  plan:", "  tenure:", "stands twice"),
        ("{column: id}", "{column: event_timestamp}", "cannot be a column name"),
        ("{column: id}", "{column: probability}", "cannot be a column name"),
        ("{column: left, positive: 1}", "{column: left, positive: 1, negative: 1}", "same value"),
        ("derived:", "gate: {metrics: {auc: {min: 1}}}\nderived:", "unknown metric 'auc'"),
        ("derived:", "candidates: [{name: a}]\nderived:", "either 'class' or 'ensemble'"),
        ("derived:", "candidates: [{name: a, ensemble: vote, members: [b]}]\nderived:", "unknown member 'b'"),
        ("derived:", "high_risk: 1.5\nderived:", "outside 0 to 1"),
        ("derived:", "recommendations: {low: a, medium: b}\nderived:", "one for each of low, medium, high"),
        ("derived:", f"{ADVICE}, high: {{default: c, by_reason: {{tenur: d}}}}}}\nderived:", "did you mean 'tenure'?"),
        ("derived:", f"{ADVICE}, high: {{default: c, by_reason: {{is_new: d}}}}}}\nderived:", "use 'tenure'"),
        (
            "derived:",
            f"{ADVICE}, high: {{default: c, by_reasn: {{tenure: d}}}}}}\nderived:",
            "did you mean 'by_reason'?",
        ),
        ("derived:", f"{ADVICE}, high: {{by_reason: {{tenure: d}}}}}}\nderived:", "recommendations.high"),
        ("derived:", f"{ADVICE}, high: ' '}}\nderived:", "says nothing"),
        ("derived:", f"{ADVICE}, high: {{default: c, by_reason: {{tenure: ''}}}}}}\nderived:", "says nothing"),
        ("derived:", "training: {folds: 1}\nderived:", "outside 2 to 50"),
    ],
)
def test_a_mistake_is_refused_with_its_place_and_a_remedy(old: str, new: str, says: str) -> None:
    assert old in SMALL
    with pytest.raises(UserError) as refused:
        parse(SMALL.replace(old, new, 1))
    assert says in str(refused.value)
    assert refused.value.where.startswith("small.yaml")


def test_features_that_need_each_other_are_refused() -> None:
    circle = SMALL + "  a: {formula: b + 1, told_as: tenure}\n  b: {formula: a + 1, told_as: tenure}\n"
    with pytest.raises(UserError, match="need each other: a -> b -> a"):
        parse(circle)


@pytest.mark.parametrize(
    "text", ["", "[]", "name: [", "just text", "{1: 2}", "!!python/object:os.system {}", "a: &a [*a]"]
)
def test_what_is_no_contract_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse(text)


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.yaml"):
        contract.load(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"binary\.yaml"):
        contract.load(tmp_path / "binary.yaml")


def test_another_name_is_another_model() -> None:
    assert parse(SMALL).named("other").digest != parse(SMALL).digest


@pytest.mark.parametrize("word", ["Yes", "No", "on", "off", "y", "N"])
def test_words_that_other_yaml_readers_take_for_booleans_are_words(word: str) -> None:
    found = parse(SMALL.replace("positive: 1", f"positive: {word}").replace("[basic, gold]", f"[{word}, gold]"))
    assert found.target.positive == word
    assert found.columns["plan"].categories == (word, "gold")
    assert contract.parse(found.to_yaml()) == found


def test_true_and_false_are_booleans() -> None:
    assert parse(SMALL.replace("positive: 1", "positive: true")).target.positive is True


def test_a_column_is_called_by_its_label_or_by_its_name_in_words() -> None:
    found = parse(SMALL.replace("{type: integer,", "{type: integer, label: time with us,"))
    assert found.label("tenure") == "time with us"
    assert found.label("plan") == "plan"
    assert contract.load(TELCO).label("payment_method") == "payment method"


def test_the_telco_contract_says_what_to_do_by_reason_for_whoever_is_at_risk() -> None:
    telco = contract.load(TELCO)
    assert not telco.advice("low").by_reason
    assert telco.advice("medium").by_reason
    assert "one-year contract" in telco.advice("high").by_reason["contract"]
