"""When a table as a whole is refused: the message names the file, the column and a remedy."""

from __future__ import annotations

import re

import pytest

from churn.domain.errors import UserError
from tests.unit.components.validate.conftest import SHOP, Done, Examine

Columns = dict[str, list[str | None]]


def refusal(done: Done) -> UserError:
    with pytest.raises(UserError) as caught:
        done.refuse()
    assert caught.value.where == "shop.csv"
    assert caught.value.remedy
    return caught.value


def test_too_many_bad_rows_are_told_by_column_with_counts_and_examples(examine: Examine, shop: Columns) -> None:
    shop["visits"] = ["101", "102", "103", *shop["visits"][3:]]
    shop["Plan"][0] = "gold"

    assert refusal(examine(shop)).problem == (
        "3 of 8 rows (37.5 %) break the contract, more than the 25 % allowed: "
        "the column 'visits' is above 100 in 3 rows (such as '101' in row 1); "
        "the column 'Plan' is none of 'basic', 'plus' in 1 row (such as 'gold' in row 1)"
    )


def test_only_the_worst_three_kinds_of_fault_are_told(examine: Examine, shop: Columns) -> None:
    shop["visits"] = ["101", "102", "-1", *shop["visits"][3:]]
    shop["Plan"][:2] = ["gold", "gold"]
    shop["spend"][0] = "-1"
    shop["Gone"][0] = "perhaps"

    problem = refusal(examine(shop)).problem
    assert problem.endswith("and 2 more kinds of fault")


def test_duplicates_do_not_dilute_the_share_of_bad_rows(examine: Examine, shop: Columns) -> None:
    shop["visits"][:3] = ["101", "102", "103"]
    many = {name: values + [values[7]] * 100 for name, values in shop.items()}

    assert refusal(examine(many)).problem.startswith("3 of 8 rows (37.5 %)")


def test_an_empty_column_is_named(examine: Examine, shop: Columns) -> None:
    for name, missing in (("spend", ""), ("Plan", None), ("Gone", "NA"), ("Customer No", " ")):
        problem = refusal(examine({**shop, name: [missing] * 8})).problem
        assert problem == f"the column '{name}' has no value in any row"


def test_a_column_of_the_wrong_type_is_named_with_an_example(examine: Examine, shop: Columns) -> None:
    words = ["", *["soon"] * 7]

    assert refusal(examine({**shop, "spend": words})).problem == (
        "in all rows the value of the column 'spend' is not a number, such as 'soon' in row 2"
    )
    target = refusal(examine({**shop, "Gone": ["0", "1"] * 4})).problem
    assert re.search("'Gone' is not a value of the target .'yes' means positive., such as '0' in row 1", target)


def test_keys_that_are_not_unique_are_told_with_the_rows_of_one(examine: Examine, shop: Columns) -> None:
    shop["Customer No"] = ["a", "b", "a", "b", "c", "a", "d", "e"]
    shop["visits"][0] = "-1"  # quarantined: its key is no longer one of the valid rows

    assert refusal(examine(shop)).problem == (
        "the key 'Customer No' is not unique: 2 keys stand in several rows that differ, such as the rows 2, 4"
    )


@pytest.mark.parametrize(
    ("outcome", "words"), [("no", "is never 'yes' in all 8 labelled rows"), ("yes", "is 'yes' in all 8 labelled rows")]
)
def test_one_outcome_only_is_told(outcome: str, words: str, examine: Examine, shop: Columns) -> None:
    assert words in refusal(examine({**shop, "Gone": [outcome] * 8})).problem


def test_a_table_without_a_good_row_is_told(examine: Examine, shop: Columns) -> None:
    shop["visits"] = ["101"] * 8

    problem = refusal(examine(shop, SHOP.replace("0.25", "1"))).problem
    assert problem.startswith("8 of 8 rows (100 %) break the contract: the column 'visits' is above 100")


def test_outcomes_that_lie_in_bad_rows_alone_are_told(examine: Examine, shop: Columns) -> None:
    shop["Gone"] = ["yes", *[""] * 7]
    shop["visits"][0] = "-1"

    assert refusal(examine(shop)).problem == "no valid row has a value in the target column 'Gone'"
