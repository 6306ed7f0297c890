from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from serving import v1, v2, v2_body
from serving.champion import Champion
from serving.errors import InvalidValuesError, MalformedError
from serving.stock import InferInput, InferRequest, InferResponse
from tests import bundles

ANN, BOB = bundles.CUSTOMER, {**bundles.CUSTOMER, "plan": "plus", "visits": 30, "rating": None}
KINDS = {str: "BYTES", int: "INT64", float: "FP64"}


def tensors(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "shape": [len(rows)],
            "datatype": KINDS[type(rows[0][name])],
            "data": [row[name] for row in rows],
        }
        for name in rows[0]
    ]


def read(*inputs: dict[str, Any], **more: Any) -> InferRequest:
    return v2_body.read(msgspec.json.encode({"inputs": inputs, **more}), None, "shop")


def answer(shop: Champion, request: InferRequest) -> InferResponse:
    asked = v2.decode(request)
    return asked.render(shop.answer(asked))


def test_tensors_say_what_instances_say(shop: Champion) -> None:
    response = answer(shop, read(*tensors(ANN, BOB), id="42"))
    instances = v1.decode({"instances": [ANN, BOB]})
    expected = instances.render(shop.answer(instances))["predictions"]
    found = {output.name: output.data for output in response.outputs}
    assert [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)] == expected
    assert (response.id, response.model_name, response.model_version) == ("42", "shop", "1")
    assert {output.name: output.datatype for output in response.outputs} == {
        name: datatype for name, datatype in v2.OUTPUTS.items() if name != "customer_id"
    }


def test_ids_come_back_as_text(shop: Champion) -> None:
    ids = {"name": "customer_id", "shape": [1], "datatype": "INT64", "data": [12]}
    response = answer(shop, read(ids, *tensors(ANN)))
    assert (response.outputs[0].name, response.outputs[0].data) == ("customer_id", ["12"])


def test_a_column_of_a_matrix_is_a_column(shop: Champion) -> None:
    nested = [
        {**tensor, "shape": [2, 1], "data": [[value] for value in tensor["data"]]} for tensor in tensors(ANN, BOB)
    ]
    flat = [{**tensor, "shape": [2, 1]} for tensor in tensors(ANN, BOB)]
    expected = [output.data for output in answer(shop, read(*tensors(ANN, BOB))).outputs]
    assert [output.data for output in answer(shop, read(*nested)).outputs] == expected
    assert [output.data for output in answer(shop, read(*flat)).outputs] == expected


def test_binary_tensors_are_read_and_written(shop: Champion) -> None:
    inputs = []
    for tensor in tensors(ANN):
        values = [value.encode() if isinstance(value, str) else value for value in tensor["data"]]
        kind = {"BYTES": np.object_, "INT64": np.int64, "FP64": np.float64}[tensor["datatype"]]
        inputs.append(InferInput(tensor["name"], [1], tensor["datatype"]))
        inputs[-1].set_data_from_numpy(np.array(values, kind))
    body, size = InferRequest("shop", inputs, parameters={"binary_data_output": True}).to_rest()
    content, json_length = answer(shop, v2_body.read(body, str(size), "shop")).to_rest()
    found = {o.name: o.as_numpy().tolist() for o in InferResponse.from_bytes(content, json_length).outputs}
    expected = {output.name: output.data for output in answer(shop, read(*tensors(ANN))).outputs}
    assert {name: [v.decode() if isinstance(v, bytes) else v for v in vs] for name, vs in found.items()} == expected


@pytest.mark.parametrize(("default", "chosen"), [(False, True), (True, False)])
def test_an_output_may_be_written_otherwise_than_the_rest(shop: Champion, default: bool, chosen: bool) -> None:
    outputs = [{"name": "risk"}, {"name": "probability", "parameters": {"binary_data": chosen}}]
    request = read(*tensors(ANN), outputs=outputs, parameters={"binary_data_output": default})
    content, json_length = answer(shop, request).to_rest()
    document = msgspec.json.decode(content[:json_length])
    assert {output["name"]: "data" not in output for output in document["outputs"]} == {
        "risk": default,
        "probability": chosen,
    }


@pytest.mark.parametrize(
    ("tensor", "path"),
    [
        ({"name": "visits", "shape": [1], "datatype": "INT64", "data": [True]}, "inputs.visits[0]"),
        ({"name": "visits", "shape": [1], "datatype": "INT64", "data": [[1]]}, "inputs.visits[0]"),
        ({"name": "plan", "shape": [1], "datatype": "BYTES", "data": [1]}, "inputs.plan[0]"),
        ({"name": "visit", "shape": [1], "datatype": "BYTES", "data": ["1"]}, "inputs.visit"),
        ({"name": "visits", "shape": [1], "datatype": "FP64", "data": [0.5]}, "inputs.visits[0]"),
        ({"name": "visits", "shape": [1], "datatype": "INT64", "data": [0]}, "inputs.*[0]"),
    ],
)
def test_values_are_refused_at_their_place(shop: Champion, tensor: dict[str, Any], path: str) -> None:
    others = [other for other in tensors(ANN) if other["name"] != tensor["name"]]
    with pytest.raises(InvalidValuesError) as refused:
        answer(shop, read(*others, tensor))
    assert [fault.path for fault in refused.value.details] == [path]


@pytest.mark.parametrize(
    ("tensor", "problem"),
    [
        ({"shape": [2], "data": [1.0, 2.0]}, "inputs.spend has not as many values as plan"),
        ({"shape": [2], "data": [1.0]}, "inputs.spend has 1 values where its shape says 2"),
        ({"shape": [1], "data": []}, "inputs.spend does not hold what its shape and datatype say"),
        ({"shape": [1, 2], "data": [1.0, 2.0]}, r"inputs.spend.shape is neither \[n\] nor \[n, 1\]"),
        ({"shape": [1], "data": [1.0], "datatype": "FP63"}, "inputs.spend.datatype is none of BOOL"),
        ({"shape": [1], "data": [1.0], "name": "plan"}, "inputs.plan stands twice"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(tensor: dict[str, Any], problem: str) -> None:
    others = [other for other in tensors(ANN) if other["name"] != "spend"]
    with pytest.raises(MalformedError, match=problem):
        v2.decode(read(*others, {"name": "spend", "datatype": "FP64", **tensor}))


def test_every_misfit_is_told_at_once() -> None:
    wrong = [{**tensor, "shape": [-1], "datatype": "X"} for tensor in tensors(ANN)]
    with pytest.raises(MalformedError) as refused:
        v2.decode(read(*wrong, outputs=[{"name": "logit"}]))
    assert len(refused.value.details) == 2 * len(ANN) + 1


def test_the_metadata_is_the_contracts(shop: Champion) -> None:
    inputs = v2.inputs(shop.bundle.contract)
    assert [(tensor["name"], tensor["datatype"]) for tensor in inputs] == [
        ("customer_id", "BYTES"),
        ("plan", "BYTES"),
        ("region", "BYTES"),
        ("visits", "INT64"),
        ("spend", "FP64"),
        ("discount", "FP64"),
        ("rating", "FP64"),
    ]
