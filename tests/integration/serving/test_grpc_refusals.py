"""Refusals over gRPC: a code, and the places in its text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from serving.stock import grpc_predict_v2_pb2_grpc
from tests.predictors import Predictor
from tests.tensors import tensor, tensors


@pytest.fixture(scope="module")
def stub(predictor: Predictor) -> Iterator[Any]:
    with grpc.insecure_channel(f"127.0.0.1:{predictor.grpc_port}") as channel:
        yield grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)


def grpc_request(spend: float = 1.0, **changes: Any) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="shop")
    contents = {"BYTES": "bytes_contents", "INT64": "int64_contents", "FP64": "fp64_contents"}
    for one in tensors(spend=tensor("spend", "FP64", spend)):
        data = [value.encode() if isinstance(value, str) else value for value in one["data"]]
        request.inputs.add(
            name=one["name"], datatype=one["datatype"], shape=one["shape"], contents={contents[one["datatype"]]: data}
        )
    request.MergeFrom(pb.ModelInferRequest(**changes))
    return request


def fp64(name: str, *data: float, **changes: Any) -> Any:
    return pb.ModelInferRequest.InferInputTensor(
        **{"name": name, "datatype": "FP64", "shape": [len(data)], "contents": {"fp64_contents": data}, **changes}
    )


def text(name: str, *values: str) -> Any:
    data = [value.encode() for value in values]
    return pb.ModelInferRequest.InferInputTensor(
        name=name, datatype="BYTES", shape=[len(data)], contents={"bytes_contents": data}
    )


GRPC: dict[str, tuple[pb.ModelInferRequest, str, str]] = {
    "another model": (pb.ModelInferRequest(model_name="nope"), "NOT_FOUND", "this server has no model of that name"),
    "a version": (grpc_request(model_version="7"), "UNIMPLEMENTED", "which version answers is decided by the traffic"),
    "no tensors": (pb.ModelInferRequest(model_name="shop"), "INVALID_ARGUMENT", "inputs is empty"),
    "out of range": (grpc_request(spend=-1), "INVALID_ARGUMENT", "inputs.spend[0] is below 0"),
    "NaN": (grpc_request(spend=float("nan")), "INVALID_ARGUMENT", "inputs.spend[0] is not a number"),
    "unknown column": (grpc_request(inputs=[fp64("visit", 1)]), "INVALID_ARGUMENT", "inputs.visit is no field of this"),
    "the same twice": (grpc_request(inputs=[fp64("spend", 1)]), "INVALID_ARGUMENT", "inputs.spend stands twice"),
    "unknown datatype": (
        grpc_request(inputs=[fp64("x", 1, datatype="FP63")]),
        "INVALID_ARGUMENT",
        "inputs.x.datatype has a datatype without typed contents",
    ),
    "contents of another datatype": (
        grpc_request(inputs=[fp64("x", contents={"fp32_contents": [1.0]}, shape=[1])]),
        "INVALID_ARGUMENT",
        "inputs.x has values in other contents than fp64_contents",
    ),
    "raw and typed contents": (
        grpc_request(raw_input_contents=[b"12345678"]),
        "INVALID_ARGUMENT",
        "raw_input_contents has 1 parts for 6 inputs",
    ),
    "too many customers": (
        pb.ModelInferRequest(model_name="shop", inputs=[fp64("spend", *[1.0] * 10_001)]),
        "RESOURCE_EXHAUSTED",
        "10001 customers are more than 10000 in one request",
    ),
    "an unknown customer": (
        pb.ModelInferRequest(model_name="shop", inputs=[text("customer_id", "zoe")]),
        "NOT_FOUND",
        "inputs.customer_id[0] names no known customer",
    ),
    "a customer of long ago": (
        pb.ModelInferRequest(model_name="shop", inputs=[text("customer_id", "old")]),
        "FAILED_PRECONDITION",
        "inputs.customer_id[0] names a customer whose stored values are older",
    ),
    "truncated raw contents": (
        pb.ModelInferRequest(
            model_name="shop",
            inputs=[pb.ModelInferRequest.InferInputTensor(name="spend", datatype="FP64", shape=[1])],
            raw_input_contents=[b"1234"],
        ),
        "INVALID_ARGUMENT",
        "inputs.spend does not hold what its shape",
    ),
}


@pytest.mark.parametrize("case", GRPC)
def test_grpc_refuses_with_the_code_and_the_place(stub: Any, case: str) -> None:
    request, code, message = GRPC[case]
    with pytest.raises(grpc.RpcError) as refused:
        stub.ModelInfer(request)
    assert refused.value.code() == grpc.StatusCode[code]
    assert refused.value.details().startswith(message)


def test_grpc_tells_the_first_of_very_many_faults(stub: Any) -> None:
    ids = pb.ModelInferRequest.InferInputTensor(
        name="customer_id",
        datatype="BYTES",
        shape=[3000],
        contents={"bytes_contents": [b"x%d" % n for n in range(3000)]},
    )
    with pytest.raises(grpc.RpcError) as refused:
        stub.ModelInfer(pb.ModelInferRequest(model_name="shop", inputs=[ids]))
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    assert refused.value.details().endswith("\nand 2980 more")


def test_grpc_tells_of_faults_with_very_long_names_what_a_header_holds(stub: Any) -> None:
    names = ["\N{GRINNING FACE}" * 60 + str(number) for number in range(40)]
    with pytest.raises(grpc.RpcError) as refused:
        stub.ModelInfer(grpc_request(inputs=[fp64(name, 1.0) for name in names]))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "is no field of this model" in refused.value.details()


def test_grpc_answers_a_refusal_with_the_request_id_it_came_with(stub: Any) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        stub.ModelInfer(grpc_request(spend=-1), metadata=[("x-request-id", "mine-77")])
    assert dict(refused.value.trailing_metadata())["x-request-id"] == "mine-77"


def test_grpc_loads_and_unloads_nothing_on_request(stub: Any, predictor: Predictor) -> None:
    for ask, message in (
        (stub.RepositoryModelLoad, pb.RepositoryModelLoadRequest(model_name="shop")),
        (stub.RepositoryModelUnload, pb.RepositoryModelUnloadRequest(model_name="shop")),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            ask(message)
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert predictor.ready()
