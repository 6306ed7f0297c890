"""Whatever JSON or tensors come, there is an answer or a refusal, and never another exception."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from serving import v1, v2_body
from serving.asked import Options
from serving.errors import MalformedError, RequestError
from serving.outputs import OUTPUTS
from serving.stock import InferRequest
from serving.version import Version
from tests import bundles
from tests.unit.serving import test_v2_grpc as rpc
from tests.unit.serving.conftest import answers

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["basic", "north", ""])
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
FIELDS = st.sampled_from([*bundles.CUSTOMER, "customer_id", "visit", "gone", ""])
INSTANCES = st.lists(st.dictionaries(FIELDS, JSON), max_size=4)
QUIET = hypothesis(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "threshold": st.floats(0, 1) | JSON,
        "explain": st.booleans() | JSON,
        "top": st.integers(1, 9) | JSON,
        "partial": st.booleans() | JSON,
    },
)


@QUIET
@given(changes=INSTANCES, options=OPTIONS)
def test_v1_answers_or_refuses_any_instances(
    shop: Version, changes: list[dict[str, Any]], options: dict[str, Any]
) -> None:
    rows = [{**bundles.CUSTOMER, **change} for change in changes]
    with suppress(RequestError):
        what = v1.read(json.dumps({"instances": rows, "parameters": options}).encode())
        assert len(strict(v1.render(answers(shop, what)))["predictions"]) == len(rows)


@QUIET
@given(changes=INSTANCES)
def test_v1_taken_in_parts_answers_whatever_is_a_request(shop: Version, changes: list[dict[str, Any]]) -> None:
    rows = [{**bundles.CUSTOMER, **change} for change in changes if "customer_id" not in change]
    with suppress(MalformedError):
        what = v1.read(json.dumps({"instances": rows, "parameters": {"partial": True}}).encode())
        assert len(strict(v1.render(answers(shop, what)))["predictions"]) == len(rows)


def strict(document: Any) -> Any:
    """The document as a client reads it: no NaN in it, no value that JSON does not have."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    return json.loads(msgspec.json.encode(document), parse_constant=refuse)


@QUIET
@given(document=JSON)
def test_v1_and_v2_refuse_any_other_document(document: Any) -> None:
    body = json.dumps(document).encode()
    with pytest.raises(MalformedError):
        v1.read(body)
    with pytest.raises(MalformedError):
        v2_body.read(body, None, "shop")


@QUIET
@given(body=st.binary())
def test_v1_refuses_any_bytes(body: bytes) -> None:
    with pytest.raises(MalformedError):
        v1.read(body)


@QUIET
@given(body=st.binary(), length=st.none() | st.text() | st.integers().map(str))
def test_v2_refuses_any_bytes(body: bytes, length: str | None) -> None:
    with pytest.raises(MalformedError):
        v2_body.read(body, length, "shop")


DATATYPES = st.sampled_from(["BOOL", "INT8", "INT64", "UINT64", "FP16", "FP32", "FP64", "BYTES", "FP63"])
TENSORS = st.fixed_dictionaries(
    {
        "name": FIELDS,
        "shape": st.lists(st.integers(-1, 3), max_size=3) | st.lists(st.integers()),
        "datatype": DATATYPES,
    },
    optional={
        "data": st.lists(JSON, max_size=3),
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": st.integers(-1, 9) | JSON}),
    },
)


@QUIET
@given(
    tensors=st.lists(TENSORS, max_size=3),
    tail=st.binary(max_size=20),
    outputs=st.lists(JSON, max_size=2) | st.lists(st.fixed_dictionaries({"name": st.sampled_from([*OUTPUTS])})),
    options=OPTIONS,
)
def test_v2_answers_or_refuses_any_tensors(
    shop: Version, tensors: list[dict[str, Any]], tail: bytes, outputs: list[Any], options: dict[str, Any]
) -> None:
    plain = [
        {"name": name, "shape": [1], "datatype": "BYTES" if isinstance(value, str) else "FP64", "data": [value]}
        for name, value in bundles.CUSTOMER.items()
    ]
    named = {tensor["name"]: tensor for tensor in [*plain, *tensors]}
    head = json.dumps({"inputs": list(named.values()), "outputs": outputs, "parameters": options}).encode()
    with suppress(RequestError):
        what = v2_body.read(head + tail, str(len(head)), "shop")
        content, size = v2_body.render(answers(shop, what), what)
        document = json.loads(content[:size])
        assert all(math.prod(one["shape"]) == len(one["data"]) for one in document["outputs"] if "data" in one)
        sizes = [one["parameters"]["binary_data_size"] for one in document["outputs"] if "data" not in one]
        assert sum(sizes) == len(content) - (len(content) if size is None else size)


CONTENTS = st.fixed_dictionaries(
    {},
    optional={
        "bool_contents": st.lists(st.booleans(), max_size=3),
        "int_contents": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3),
        "int64_contents": st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
        "uint_contents": st.lists(st.integers(0, 2**32 - 1), max_size=3),
        "uint64_contents": st.lists(st.integers(0, 2**64 - 1), max_size=3),
        "fp32_contents": st.lists(st.floats(width=32), max_size=3),
        "fp64_contents": st.lists(st.floats(), max_size=3),
        "bytes_contents": st.lists(st.binary(max_size=9) | st.sampled_from([b"basic", b"north"]), max_size=3),
    },
)
MESSAGES = st.fixed_dictionaries(
    {
        "name": FIELDS,
        "shape": st.lists(st.integers(-1, 3), max_size=3) | st.lists(st.integers(-(2**63), 2**63 - 1), max_size=2),
        "datatype": DATATYPES,
    },
    optional={"contents": CONTENTS},
)
PARAMETERS = st.dictionaries(
    st.sampled_from([*Options.__struct_fields__, "binary_data_output", "top_k"]),
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.sampled_from(["0.5", "nan", "-1", "1e400"]),
    max_size=3,
)


@QUIET
@given(tensors=st.lists(MESSAGES, max_size=3), raw=st.lists(st.binary(max_size=20), max_size=8), given=PARAMETERS)
def test_grpc_answers_or_refuses_any_message(
    shop: Version, tensors: list[dict[str, Any]], raw: list[bytes], given: dict[str, Any]
) -> None:
    message = rpc.request(bundles.CUSTOMER, **given)
    named = {one.name: one for one in message.inputs}
    named |= {one["name"]: pb.ModelInferRequest.InferInputTensor(**one) for one in tensors}
    del message.inputs[:]
    message.inputs.extend(named.values())
    message.raw_input_contents.extend(raw)
    with suppress(RequestError):
        response = rpc.answer(shop, message)
        assert response.FromString(response.SerializeToString()) == response


@QUIET
@given(
    raw=st.lists(st.binary(max_size=20), min_size=6, max_size=6), datatypes=st.lists(DATATYPES, min_size=6, max_size=6)
)
def test_grpc_answers_or_refuses_any_raw_contents(shop: Version, raw: list[bytes], datatypes: list[str]) -> None:
    message = pb.ModelInferRequest(model_name="shop", raw_input_contents=raw)
    for name, datatype in zip(bundles.CUSTOMER, datatypes, strict=True):
        message.inputs.add(name=name, datatype=datatype, shape=[1])
    with suppress(RequestError):
        rpc.answer(shop, message)


def test_a_request_of_kserves_own_making_is_understood(shop: Version) -> None:
    body, _ = InferRequest("shop", [], request_id="1").to_rest()
    with pytest.raises(MalformedError, match="inputs is empty"):
        v2_body.read(json.dumps(body).encode(), None, "shop")
