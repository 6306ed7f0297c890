from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from serving import v2_grpc
from serving.errors import InvalidValuesError, MalformedError
from serving.outputs import ERROR
from serving.stock import InferResponse
from serving.version import Version
from tests import bundles
from tests.unit.serving.conftest import answers, predictions

ANN = bundles.CUSTOMER
KINDS: dict[type, tuple[str, str]] = {
    str: ("BYTES", "bytes_contents"),
    int: ("INT64", "int64_contents"),
    float: ("FP64", "fp64_contents"),
}
WHOLE = ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"]


def tensor(name: str, datatype: str, contents: str, values: list[Any], shape: list[int] | None = None) -> Any:
    data = [value.encode() if isinstance(value, str) else value for value in values]
    return pb.ModelInferRequest.InferInputTensor(
        name=name, datatype=datatype, shape=[len(values)] if shape is None else shape, contents={contents: data}
    )


def request(*rows: dict[str, Any], **parameters: Any) -> pb.ModelInferRequest:
    """Rows as typed contents; parameters by their kind."""
    found = pb.ModelInferRequest(model_name="shop")
    for name in rows[0]:
        found.inputs.append(tensor(name, *KINDS[type(rows[0][name])], [row[name] for row in rows]))
    for name, value in parameters.items():
        kind = {bool: "bool_param", int: "int64_param", str: "string_param"}[type(value)]
        setattr(found.parameters[name], kind, value)
    return found


def raw(message: pb.ModelInferRequest) -> pb.ModelInferRequest:
    """The same with raw contents."""
    for one in message.inputs:
        contents = KINDS[{"BYTES": str, "INT64": int, "FP64": float}[one.datatype]][1]
        values = getattr(one.contents, contents)
        packed = {
            "BYTES": lambda value: struct.pack("<I", len(value)) + value,
            "INT64": lambda value: struct.pack("<q", value),
            "FP64": lambda value: struct.pack("<d", value),
        }[one.datatype]
        message.raw_input_contents.append(b"".join(packed(value) for value in values))
        one.ClearField("contents")
    return message


def answer(shop: Version, message: pb.ModelInferRequest) -> Any:
    asked = v2_grpc.read(pb.ModelInferRequest.FromString(message.SerializeToString()))
    return v2_grpc.render(answers(shop, asked), asked)


def outputs(response: Any) -> dict[str, list[Any]]:
    """Values as KServe's own client reads them, with bytes as text."""
    read = InferResponse.from_grpc(response).outputs
    found = {one.name: one.as_numpy().tolist() if response.raw_output_contents else one.data for one in read}
    return {name: [v.decode() if isinstance(v, bytes) else v for v in values] for name, values in found.items()}


def test_typed_and_raw_contents_say_the_same_and_are_answered_in_kind(shop: Version) -> None:
    rows = [ANN, {**ANN, "plan": "plus", "visits": 30}]
    typed, packed = answer(shop, request(*rows)), answer(shop, raw(request(*rows)))
    assert outputs(typed) == outputs(packed)
    assert not typed.raw_output_contents
    assert len(packed.raw_output_contents) == len(packed.outputs)
    expected = [one.probability for one in predictions(shop, *rows)]
    assert outputs(typed)["probability"] == expected
    assert (typed.model_name, typed.model_version) == ("shop", "1")


def test_the_id_of_a_request_comes_back_or_is_made(shop: Version) -> None:
    message = request(ANN)
    assert answer(shop, message).id
    message.id = "42"
    assert answer(shop, message).id == "42"


def test_a_batch_says_how_many_are_at_which_risk(shop: Version) -> None:
    response = answer(shop, request(ANN, ANN, ANN))
    counts = {name: value.int64_param for name, value in response.parameters.items()}
    assert set(counts) == {"risk_low", "risk_medium", "risk_high"}
    assert sum(counts.values()) == 3


@pytest.mark.parametrize("packed", [False, True])
def test_a_partial_answer_has_nan_for_who_is_not_answered_and_says_why(shop: Version, packed: bool) -> None:
    message = request(ANN, {**ANN, "spend": -1.0}, partial=True)
    found = outputs(answer(shop, raw(message) if packed else message))
    np.testing.assert_array_equal(found["probability"], [predictions(shop, ANN)[0].probability, np.nan])
    assert found[ERROR] == ["", "inputs.spend[1] is below 0"]
    with pytest.raises(InvalidValuesError, match=r"inputs.spend\[1\] is below 0"):
        answer(shop, request(ANN, {**ANN, "spend": -1.0}))


@pytest.mark.parametrize("threshold", ["0", "0.25", "1", 0, 1])
def test_a_named_threshold_comes_as_text_or_as_a_whole_number(shop: Version, threshold: str | int) -> None:
    found = outputs(answer(shop, request(ANN, threshold=threshold)))
    assert found["decision"] == [found["probability"][0] >= float(threshold)]


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"threshold": "half"}, "parameters.threshold is not what it should be"),
        ({"threshold": "nan"}, "parameters.threshold is not what it should be"),
        ({"threshold": "1.5"}, "parameters.threshold is not what it should be"),
        ({"partial": "true"}, "parameters.partial is not what it should be"),
        ({"tresholds": "0.5"}, r"parameters.tresholds is no parameter; did you mean 'threshold'\?"),
        ({"binary_data_output": "yes"}, "parameters.binary_data_output is neither true nor false"),
    ],
)
def test_parameters_that_cannot_be_are_refused(parameters: dict[str, Any], problem: str) -> None:
    with pytest.raises(MalformedError, match=problem):
        v2_grpc.read(request(ANN, **parameters))


def test_a_parameter_without_a_value_is_refused() -> None:
    message = request(ANN)
    message.parameters["explain"].SetInParent()
    with pytest.raises(MalformedError, match=r"parameters\.explain"):
        v2_grpc.read(message)


@pytest.mark.parametrize("datatype", WHOLE)
def test_every_datatype_of_whole_numbers_is_read(shop: Version, datatype: str) -> None:
    message = request({name: value for name, value in ANN.items() if name != "visits"})
    contents = v2_grpc._CONTENTS[datatype]
    message.inputs.append(tensor("visits", datatype, contents, [12]))
    assert outputs(answer(shop, message)) == outputs(answer(shop, request(ANN)))


def test_only_the_outputs_that_are_asked_for_come_back(shop: Version) -> None:
    message = request(ANN)
    for name in ("risk", "probability"):
        message.outputs.add(name=name)
    assert [one.name for one in answer(shop, message).outputs] == ["risk", "probability"]
    message.outputs.add(name="probabilty")
    with pytest.raises(MalformedError, match=r"outputs\.probabilty is no output"):
        v2_grpc.read(message)


def broken(**changes: Any) -> pb.ModelInferRequest:
    message = request(ANN)
    message.MergeFrom(pb.ModelInferRequest(**changes))
    return message


MALFORMED = {
    "no inputs": (pb.ModelInferRequest(model_name="shop"), "inputs is empty"),
    "raw parts for other inputs": (broken(raw_input_contents=[b"1"]), "raw_input_contents has 1 parts for 6 inputs"),
    "values twice": (broken(raw_input_contents=[b"1"] * 6), "inputs.plan has its values both in contents and in raw"),
    "a datatype without typed contents": (
        broken(inputs=[tensor("x", "FP16", "fp32_contents", [1.0])]),
        "inputs.x.datatype has a datatype without typed contents",
    ),
    "contents of another datatype": (
        broken(inputs=[tensor("x", "FP64", "fp32_contents", [1.0])]),
        "inputs.x has values in other contents than fp64_contents",
    ),
    "text that is none": (
        broken(
            inputs=[
                pb.ModelInferRequest.InferInputTensor(
                    name="x", datatype="BYTES", shape=[1], contents={"bytes_contents": [b"\xff"]}
                )
            ]
        ),
        "inputs.x is not UTF-8",
    ),
    "fewer values than the shape": (
        broken(inputs=[tensor("x", "FP64", "fp64_contents", [1.0], [3])]),
        "inputs.x has 1 values where its shape says 3",
    ),
    "a negative shape": (
        broken(inputs=[tensor("x", "FP64", "fp64_contents", [1.0], [-1])]),
        "inputs.x.shape is neither",
    ),
    "the same twice": (broken(inputs=[tensor("spend", "FP64", "fp64_contents", [1.0])]), "inputs.spend stands twice"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_no_request_is_refused_at_its_place(shop: Version, case: str) -> None:
    message, problem = MALFORMED[case]
    with pytest.raises(MalformedError, match=problem):
        answer(shop, message)


@pytest.mark.parametrize("content", [b"1234", b"123456789", b""])
def test_raw_contents_that_do_not_hold_what_they_should_are_refused(shop: Version, content: bytes) -> None:
    message = raw(request(ANN))
    message.raw_input_contents[list(ANN).index("spend")] = content
    with pytest.raises(MalformedError, match=r"inputs\.spend"):
        answer(shop, message)
