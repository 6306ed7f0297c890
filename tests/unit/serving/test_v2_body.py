from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from serving import info, v2_body
from serving.errors import InvalidValuesError, MalformedError
from serving.outputs import ERROR, OUTPUTS
from serving.stock import InferInput, InferRequest, InferResponse
from serving.v2 import Tensors
from serving.version import Version
from tests import bundles
from tests.unit.serving.conftest import answers, predictions

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


def read(*inputs: dict[str, Any], **more: Any) -> Tensors:
    return v2_body.read(msgspec.json.encode({"inputs": inputs, **more}), None, "shop")


def answer(shop: Version, asked: Tensors) -> InferResponse:
    """What KServe's own client makes of the response."""
    content, json_length = v2_body.render(answers(shop, asked), asked)
    return InferResponse.from_bytes(content, len(content) if json_length is None else json_length)


def outputs(response: InferResponse) -> dict[str, list[Any]]:
    return {output.name: output.data for output in response.outputs}


def as_arrays(response: InferResponse) -> dict[str, list[Any]]:
    """Binary outputs, with bytes as text."""
    found = {output.name: output.as_numpy().tolist() for output in response.outputs}
    return {name: [v.decode() if isinstance(v, bytes) else v for v in values] for name, values in found.items()}


def test_tensors_say_what_instances_say(shop: Version) -> None:
    asked = read(*tensors(ANN, BOB), id="42")
    response = answer(shop, asked)
    expected = msgspec.to_builtins(predictions(shop, ANN, BOB))
    found = outputs(response)
    assert [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)] == expected
    document = msgspec.json.decode(v2_body.render(answers(shop, asked), asked)[0])
    assert (document["id"], document["model_name"], document["model_version"]) == ("42", "shop", "1")
    assert {output.name: output.datatype for output in response.outputs} == {
        name: datatype for name, datatype in OUTPUTS.items() if name != "customer_id"
    }


def test_a_batch_says_how_many_are_at_which_risk(shop: Version) -> None:
    asked = read(*tensors(ANN, {**BOB, "visits": 40, "spend": 900.0}))
    document = msgspec.json.decode(v2_body.render(answers(shop, asked), asked)[0])
    assert sum(document["parameters"].values()) == 2
    assert set(document["parameters"]) == {"risk_low", "risk_medium", "risk_high"}
    single = read(*tensors(ANN))
    assert "parameters" not in msgspec.json.decode(v2_body.render(answers(shop, single), single)[0])


def test_ids_come_back_as_text(shop: Version) -> None:
    ids = {"name": "customer_id", "shape": [1], "datatype": "INT64", "data": [12]}
    response = answer(shop, read(ids, *tensors(ANN)))
    assert (response.outputs[0].name, response.outputs[0].data) == ("customer_id", ["12"])


def test_a_column_of_a_matrix_is_a_column(shop: Version) -> None:
    nested = [
        {**tensor, "shape": [2, 1], "data": [[value] for value in tensor["data"]]} for tensor in tensors(ANN, BOB)
    ]
    flat = [{**tensor, "shape": [2, 1]} for tensor in tensors(ANN, BOB)]
    expected = outputs(answer(shop, read(*tensors(ANN, BOB))))
    assert outputs(answer(shop, read(*nested))) == expected
    assert outputs(answer(shop, read(*flat))) == expected


def binary(*rows: dict[str, Any], **parameters: Any) -> Tensors:
    """A request of KServe's own client with all tensors, and all outputs, as bytes."""
    inputs = []
    for tensor in tensors(*rows):
        values = [value.encode() if isinstance(value, str) else value for value in tensor["data"]]
        kind = {"BYTES": np.object_, "INT64": np.int64, "FP64": np.float64}[tensor["datatype"]]
        inputs.append(InferInput(tensor["name"], [len(rows)], tensor["datatype"]))
        inputs[-1].set_data_from_numpy(np.array(values, kind))
    body, size = InferRequest("shop", inputs, parameters={"binary_data_output": True, **parameters}).to_rest()
    return v2_body.read(body, str(size), "shop")


@pytest.mark.parametrize("rows", [[ANN], [ANN, {**ANN, "plan": "plus", "visits": 30}]])
def test_binary_tensors_are_read_and_written(shop: Version, rows: list[dict[str, Any]]) -> None:
    expected = outputs(answer(shop, read(*tensors(*rows))))
    assert as_arrays(answer(shop, binary(*rows))) == expected


@pytest.mark.parametrize(("default", "chosen"), [(False, True), (True, False)])
def test_an_output_may_be_written_otherwise_than_the_rest(shop: Version, default: bool, chosen: bool) -> None:
    wanted = [{"name": "risk"}, {"name": "probability", "parameters": {"binary_data": chosen}}]
    asked = read(*tensors(ANN), outputs=wanted, parameters={"binary_data_output": default})
    content, json_length = v2_body.render(answers(shop, asked), asked)
    document = msgspec.json.decode(content[:json_length])
    assert {output["name"]: "data" not in output for output in document["outputs"]} == {
        "risk": default,
        "probability": chosen,
    }


ODD = {**ANN, "spend": -1.0}


def test_a_partial_answer_has_null_for_who_is_not_answered_and_says_why(shop: Version) -> None:
    asked = read(*tensors(ANN, ODD, {**ANN, "visits": 0}), parameters={"partial": True})
    document = msgspec.json.decode(v2_body.render(answers(shop, asked), asked)[0])
    found = {output["name"]: output["data"] for output in document["outputs"]}
    (alone,) = predictions(shop, ANN)
    assert found["probability"] == [alone.probability, None, None]
    assert found["confidence"] == [alone.confidence, None, None]
    assert found["risk"] == [alone.risk, "", ""]
    assert found[ERROR] == [
        "",
        "inputs.spend[1] is below 0",
        "inputs.*[2] gives no finite value of feature spend_per_visit, column visits, spend",
    ]
    assert document["model_version"] == "1"
    assert sum(document["parameters"].values()) == 1


def test_a_partial_answer_in_bytes_has_nan_for_who_is_not_answered(shop: Version) -> None:
    found = as_arrays(answer(shop, binary(ANN, ODD, partial=True)))
    (alone,) = predictions(shop, ANN)
    np.testing.assert_array_equal(found["probability"], [alone.probability, np.nan])
    assert found["decision"] == [alone.decision, False]
    assert found[ERROR] == ["", "inputs.spend[1] is below 0"]


def test_a_partial_answer_to_fine_customers_has_empty_errors(shop: Version) -> None:
    asked = read(*tensors(ANN), parameters={"partial": True})
    assert outputs(answer(shop, asked))[ERROR] == [""]
    assert ERROR not in outputs(answer(shop, read(*tensors(ANN))))


def test_a_named_threshold_decides(shop: Version) -> None:
    (p,) = outputs(answer(shop, read(*tensors(ANN))))["probability"]
    for threshold in (p, np.nextafter(p, 1).item()):
        asked = read(*tensors(ANN), parameters={"threshold": threshold})
        assert outputs(answer(shop, asked))["decision"] == [p >= threshold]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"parameters": {"threshold": 2}}, "parameters.threshold is not what it should be"),
        ({"parameters": {"explained": True}}, "parameters.explained is no parameter; did you mean 'explain'?"),
        ({"parameters": {"binary_data_output": 1}}, "parameters.binary_data_output is neither true nor false"),
        ({"outputs": [{"name": "risk", "parameters": {"binary_data": "yes"}}]}, "outputs.risk.parameters.binary_data"),
        ({"model_name": "other"}, "model_name is not the model that is asked"),
    ],
)
def test_what_is_asked_beside_the_tensors_is_checked(more: dict[str, Any], problem: str) -> None:
    with pytest.raises(MalformedError, match=problem.replace("?", r"\?")):
        read(*tensors(ANN), **more)


@pytest.mark.parametrize(
    ("tensor", "path"),
    [
        ({"name": "visits", "shape": [1], "datatype": "INT64", "data": [True]}, "inputs.visits[0]"),
        ({"name": "visits", "shape": [1], "datatype": "INT64", "data": [[1]]}, "inputs.visits[0]"),
        ({"name": "plan", "shape": [1], "datatype": "BYTES", "data": [1]}, "inputs.plan[0]"),
        ({"name": "visit", "shape": [1], "datatype": "BYTES", "data": ["1"]}, "inputs.visit"),
        ({"name": "visits", "shape": [1], "datatype": "FP64", "data": [0.5]}, "inputs.visits[0]"),
        ({"name": "visits", "shape": [1], "datatype": "INT64", "data": [0]}, "inputs.*[0]"),
        ({"name": "visits", "shape": [1], "datatype": "INT8", "data": [300]}, "inputs.visits[0]"),
    ],
)
def test_values_are_refused_at_their_place(shop: Version, tensor: dict[str, Any], path: str) -> None:
    others = [other for other in tensors(ANN) if other["name"] != tensor["name"]]
    with pytest.raises(InvalidValuesError) as refused:
        answer(shop, read(*others, tensor))
    assert [fault.path for fault in refused.value.details] == [path]


@pytest.mark.parametrize(
    ("tensor", "problem"),
    [
        ({"shape": [2], "data": [1.0, 2.0]}, "inputs.spend has not as many values as plan"),
        ({"shape": [2], "data": [1.0]}, "inputs.spend has 1 values where its shape says 2"),
        ({"shape": [1], "data": [1.0, 2.0]}, "inputs.spend has 2 values where its shape says 1"),
        ({"shape": [1], "data": []}, "inputs.spend has 0 values where its shape says 1"),
        ({"shape": [1, 2], "data": [1.0, 2.0]}, r"inputs.spend.shape is neither \[n\] nor \[n, 1\]"),
        ({"shape": [-1], "data": [1.0]}, r"inputs.spend.shape is neither \[n\] nor \[n, 1\]"),
        ({"shape": [1], "data": [1.0], "datatype": "FP63"}, "inputs.spend.datatype is none of BOOL"),
        ({"shape": [1], "data": [1.0], "name": "plan"}, "inputs.plan stands twice"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(shop: Version, tensor: dict[str, Any], problem: str) -> None:
    others = [other for other in tensors(ANN) if other["name"] != "spend"]
    with pytest.raises(MalformedError, match=problem):
        answer(shop, read(*others, {"name": "spend", "datatype": "FP64", **tensor}))


def test_every_misfit_is_told_at_once(shop: Version) -> None:
    wrong = [{**tensor, "shape": [-1], "datatype": "X"} for tensor in tensors(ANN)]
    with pytest.raises(MalformedError) as refused:
        answer(shop, read(*wrong))
    assert len(refused.value.details) == 2 * len(ANN)


def test_every_output_that_is_none_is_told_at_once() -> None:
    with pytest.raises(MalformedError) as refused:
        read(*tensors(ANN), outputs=[{"name": "logit"}, {"name": "risk"}, {"name": "probabilty"}])
    assert [fault.path for fault in refused.value.details] == ["outputs.logit", "outputs.probabilty"]


def test_the_metadata_is_the_contracts(shop: Version) -> None:
    assert [(tensor["name"], tensor["datatype"]) for tensor in info.inputs(shop.contract)] == [
        ("customer_id", "BYTES"),
        ("plan", "BYTES"),
        ("region", "BYTES"),
        ("visits", "INT64"),
        ("spend", "FP64"),
        ("discount", "FP64"),
        ("rating", "FP64"),
    ]


@pytest.mark.parametrize(("name", "parameter"), [("reasons", "explain"), ("error", "partial")])
def test_an_output_that_a_parameter_brings_is_refused_without_it(name: str, parameter: str) -> None:
    with pytest.raises(MalformedError, match=f"outputs.{name} comes with the parameter '{parameter}' alone"):
        read(*tensors(ANN), outputs=[{"name": name}])
    assert read(*tensors(ANN), outputs=[{"name": name}], parameters={parameter: True}).outputs[0].name == name
