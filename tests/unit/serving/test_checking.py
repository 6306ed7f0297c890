from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec import UNSET

from churn.domain.contract import Column, Contract, Key
from serving.asked import Tensor
from serving.checking import check
from serving.errors import InvalidValuesError
from serving.v2 import Tensors
from tests import bundles
from tests.unit.serving.conftest import asked

ANN = bundles.CUSTOMER
TENSORS = [
    Tensor(name, {str: "BYTES", int: "INT64", float: "FP64"}[type(value)], [2], [value, value])
    for name, value in ANN.items()
]


def faults(of: Contract, *instances: dict[str, Any]) -> dict[str, str]:
    return {one.fault.path: one.fault.problem for one in check(of, asked(*instances)).failures}


def test_columns_come_out_in_the_contracts_order_whatever_the_requests() -> None:
    checked = check(bundles.shop(), asked(dict(reversed(ANN.items()))))
    assert checked.columns.tolist() == [[0.0, 0.0, 12.0, 340.5, 5.0, 4.0]]
    assert checked.ids == [UNSET]
    assert checked.given.all()
    assert checked.failures == []


def test_what_is_left_out_is_null_and_not_given() -> None:
    checked = check(bundles.shop(), asked(ANN, {"customer_id": "ann", "visits": 3, "rating": None}))
    assert checked.ids == [UNSET, "ann"]
    assert checked.given.tolist() == [[True] * 6, [False, False, True, False, False, True]]
    assert np.isnan(checked.columns[1]).tolist() == [True, True, False, True, True, True]


def test_a_customer_without_an_id_must_bring_what_may_not_be_null() -> None:
    assert faults(bundles.shop(), {"customer_id": "ann"}, {"region": "south"}) == {
        "instances[1].plan": "is missing",
        "instances[1].visits": "is missing",
        "instances[1].spend": "is missing",
    }


def test_an_empty_instance_lacks_everything() -> None:
    assert set(faults(bundles.shop(), {})) == {f"instances[0].{name}" for name in ("plan", "visits", "spend")}


def test_the_columns_are_named_as_in_the_contract_not_as_in_the_source() -> None:
    (problem,) = faults(bundles.shop(), {**ANN, "Plan": "basic"}).values()
    assert problem == "is no field of this model; did you mean 'plan'?"


@pytest.mark.parametrize("name", ["customer_id", "account"])
def test_the_id_goes_by_its_common_name_and_by_the_contracts(name: str) -> None:
    of = bundles.shop(key=Key("account", source="Account No", type="integer"))
    checked = check(of, asked({name: 2**60 + 1}, {name: "12"}, {name: "007"}))
    assert checked.ids == [2**60 + 1, 12, 7]


def test_the_id_is_given_once() -> None:
    of = bundles.shop(key=Key("account", type="integer"))
    assert faults(of, {"account": 1, "customer_id": 1}) == {
        "instances[0].customer_id": "names the customer beside 'account'; use one of the two"
    }


@pytest.mark.parametrize("value", ["ann", "1.5", "1e400", 2**70, "", True])
def test_an_integer_key_takes_integers(value: object) -> None:
    of = bundles.shop(key=Key("account", type="integer"))
    assert list(faults(of, {"account": value})) == ["instances[0].account"]


def test_a_truth_value_names_no_customer() -> None:
    assert faults(bundles.shop(), {"customer_id": True, **ANN}) == {"instances[0].customer_id": "is not text"}


def test_ids_are_trimmed_as_in_training() -> None:
    assert check(bundles.shop(), asked({"customer_id": " ann "})).ids == ["ann"]


def test_a_table_without_a_key_knows_its_rows_by_their_hash() -> None:
    assert check(bundles.shop(key=None), asked({"entity_id": "0f"}, {"entity_id": "1a"})).ids == ["0f", "1a"]


def test_a_column_may_be_called_customer_id() -> None:
    of = bundles.shop(
        key=Key("account"), columns={"customer_id": Column("integer", range=(0, 9)), **bundles.shop().columns}
    )
    assert faults(of, {**ANN, "customer_id": 12}) == {"instances[0].customer_id": "is above 9"}
    assert check(of, asked({**ANN, "customer_id": 3, "account": "a"})).columns[0, 0] == 3


def test_a_source_name_that_is_another_columns_name_confuses_nothing() -> None:
    of = bundles.shop()
    swapped = dict(of.columns)
    swapped["visits"] = msgspec.structs.replace(of.columns["visits"], source="spend")
    swapped["spend"] = msgspec.structs.replace(of.columns["spend"], source="visits")
    target = msgspec.structs.replace(of.target, source="plan")
    checked = check(msgspec.structs.replace(of, columns=swapped, target=target), asked(ANN))
    assert checked.columns.tolist() == check(of, asked(ANN)).columns.tolist()


def test_each_fault_belongs_to_its_customer_and_its_value_is_null() -> None:
    checked = check(
        bundles.shop(), asked(ANN, {**ANN, "visits": -1, "plan": "gold"}, {"customer_id": "ann", "rating": 9})
    )
    assert sorted((one.row, one.fault.path) for one in checked.failures) == [
        (1, "instances[1].plan"),
        (1, "instances[1].visits"),
        (2, "instances[2].rating"),
    ]
    assert checked.columns[0].tolist() == check(bundles.shop(), asked(ANN)).columns[0].tolist()
    assert np.isnan(checked.columns[1]).tolist() == [True, False, True, False, False, False]
    assert checked.given[1].all(), "a value at fault is not looked up instead"


def test_a_tensor_too_many_or_too_few_is_no_customers_fault() -> None:
    one_too_many = Tensors([*TENSORS, Tensor("visit", "INT64", [2], [1, 2])])
    one_too_few = Tensors([one for one in TENSORS if one.name != "spend"])
    for what, path in ((one_too_many, "inputs.visit"), (one_too_few, "inputs.spend")):
        with pytest.raises(InvalidValuesError) as refused:
            check(bundles.shop(), what)
        assert [fault.path for fault in refused.value.details] == [path]


WITH_OTHER = bundles.shop(
    columns={**bundles.shop().columns, "region": Column("category", categories=("north", "Other"), nullable=True)}
)


def test_unknown_categories_become_other_where_the_server_is_told_so() -> None:
    given = [{**ANN, "region": region} for region in ("north", "Other", "east", None, " east ")]
    checked = check(WITH_OTHER, asked(*given), map_unknown=True)
    assert checked.failures == []
    np.testing.assert_array_equal(checked.columns[:, 1], [0, 1, 1, np.nan, 1])
    assert [one.row for one in check(WITH_OTHER, asked(*given)).failures] == [2, 4]


def test_unknown_categories_are_refused_where_the_column_has_no_other() -> None:
    (failure,) = check(WITH_OTHER, asked({**ANN, "plan": "gold"}), map_unknown=True).failures
    assert failure.fault.problem.startswith("is none of 'basic', 'plus'")


def test_mapping_unknown_categories_changes_no_known_spelling_and_no_type() -> None:
    given = [{**ANN, "plan": "1"}, {**ANN, "region": ["east"]}, {**ANN, "region": ""}]
    checked = check(WITH_OTHER, asked(*given), map_unknown=True)
    assert checked.columns[0, 0] == 1
    assert [one.fault.path for one in checked.failures] == ["instances[1].region"]
    assert np.isnan(checked.columns[2, 1])


def test_a_long_name_is_not_repeated_in_full() -> None:
    (path,) = faults(bundles.shop(), {**ANN, "x" * 5_000: 1})
    assert len(path) < 120
