"""Whatever is sent, the server answers, in one of the ways that it describes, and tells nothing of itself."""

from __future__ import annotations

import http.client
import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from serving.asked import WIDTHS
from serving.stock import grpc_predict_v2_pb2_grpc, pb
from serving.v2_body import LENGTH_HEADER
from tests import bundles
from tests.predictors import ROOT, Predictor

PREDICT, EXPLAIN, INFER = "/v1/models/shop:predict", "/v1/models/shop:explain", "/v2/models/shop/infer"
SECRETS = (
    b"Traceback",
    str(ROOT).encode(),
    b"/tmp/",
    b".py",
    b"site-packages",
    b"line ",
    b"object at 0x",
    b"Exception",
    b"msgspec",
)
"""What no answer holds: exceptions, their texts, and paths of this machine."""

GRPC_REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}

many = settings(
    max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

NAMES = st.sampled_from([*bundles.CUSTOMER, "customer_id", "unknown", "Plan", "", "é", "x" * 300])
TEXTS = st.one_of(
    st.sampled_from(["basic", "plus", "north", "1", "", "NA", " basic ", "ann", "bob", "nobody"]), st.text(max_size=20)
)
NUMBERS = st.one_of(
    st.integers(0, 30), st.floats(), st.integers(), st.sampled_from([2**53, 2**63, 2**64, -(2**63) - 1, 10**400, 1e308])
)
VALUES = st.one_of(
    NUMBERS,
    TEXTS,
    st.booleans(),
    st.none(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(TEXTS, TEXTS, max_size=1),
)
ANYTHING = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)
PARAMETERS = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "explain": st.booleans(),
            "partial": st.booleans(),
            "top": st.integers(0, 101),
            "threshold": st.one_of(st.none(), st.floats(-0.1, 1.1)),
            "binary_data_output": st.booleans(),
        },
    ),
    st.dictionaries(
        st.sampled_from(["explain", "partial", "top", "threshold", "binary_data_output", "?"]), VALUES, max_size=3
    ),
)


class Client:
    """One connection that is kept; the documented statuses by path."""

    def __init__(self, predictor: Predictor) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", predictor.http_port, timeout=30)
        described = predictor.send("/openapi.json").json["paths"]
        self._known = {
            path: set(methods["post"]["responses"]) for path, methods in described.items() if "post" in methods
        }

    def send(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> int:
        """Asks, and checks all that must hold of any answer."""
        self._connection.request("POST", path, body, {"content-type": "application/json", **(headers or {})})
        answer = self._connection.getresponse()
        content = answer.read()
        assert str(answer.status) in self._known[path], (answer.status, content)
        assert answer.status < 500, content
        assert answer.getheader("x-request-id")
        if answer.status == 200:
            assert answer.getheader("content-type") in ("application/json", "application/octet-stream")
        else:
            refused(path, content)
        return answer.status

    def ask(self, path: str, document: Any) -> int:
        """Asks with JSON, NaN and Infinity among it."""
        return self.send(path, json.dumps(document).encode())


def refused(path: str, content: bytes) -> None:
    error = json.loads(content)
    if path.startswith("/v2"):
        assert isinstance(error["error"], str)
    else:
        error = error["error"]
        assert isinstance(error["message"], str)
    assert error["code"]
    assert all(set(fault) == {"path", "problem"} for fault in error["details"])
    quiet(content)


def quiet(content: bytes) -> None:
    assert not [secret for secret in SECRETS if secret in content], content


@pytest.fixture(scope="module")
def client(predictor: Predictor) -> Client:
    return Client(predictor)


def instances(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Customers, many of whom are almost as they should be."""
    near = st.dictionaries(NAMES, values, max_size=2).map(lambda changes: {**bundles.CUSTOMER, **changes})
    known = st.fixed_dictionaries({"customer_id": st.sampled_from(["ann", "bob", "nobody"])})
    return st.one_of(near, near, known, st.dictionaries(NAMES, values, max_size=4))


def test_v1_answers_whatever_is_asked(client: Client) -> None:
    seen = set()

    @many
    @given(
        st.sampled_from([PREDICT, EXPLAIN]),
        st.one_of(st.lists(instances(VALUES), max_size=3), ANYTHING),
        st.one_of(st.none(), PARAMETERS, ANYTHING),
    )
    def ask(path: str, customers: Any, parameters: Any) -> None:
        document = {"instances": customers} | ({} if parameters is None else {"parameters": parameters})
        seen.add(client.ask(path, document))

    ask()
    assert seen == {200, 400, 404, 422}


def shapes(count: int) -> st.SearchStrategy[list[Any]]:
    return st.one_of(
        st.sampled_from(
            [[count], [count], [count, 1], [count, 2], [0], [], [-1], [10**12], [count, 1, 1], [True], ["1"]]
        ),
        st.lists(st.integers(-1, 3), max_size=3),
    )


@st.composite
def json_tensors(draw: st.DrawFn) -> list[dict[str, Any]]:
    """The shop's tensors, with faults in some."""
    count = draw(st.integers(1, 3))
    kinds = {str: "BYTES", int: "INT64", float: "FP64"}
    found = []
    for name, value in bundles.CUSTOMER.items():
        found.append({"name": name, "datatype": kinds[type(value)], "shape": [count], "data": [value] * count})
    for _ in range(draw(st.integers(0, 3))):
        tensor = draw(st.sampled_from(found))
        match draw(
            st.sampled_from(["name", "datatype", "shape", "data", "value", "twice", "less", "more", "parameters"])
        ):
            case "name":
                tensor["name"] = draw(st.one_of(NAMES, VALUES))
            case "datatype":
                tensor["datatype"] = draw(st.one_of(st.sampled_from([*WIDTHS, "BYTES", "FP8"]), VALUES))
            case "shape":
                tensor["shape"] = draw(st.one_of(shapes(count), VALUES))
            case "data":
                tensor["data"] = draw(st.one_of(st.lists(VALUES, max_size=4), VALUES))
            case "value" if isinstance(tensor["data"], list) and tensor["data"]:
                tensor["data"] = [draw(VALUES), *tensor["data"][1:]]
            case "twice":
                found.append(tensor)
            case "less":
                tensor.pop(draw(st.sampled_from(sorted(tensor))))
                tensor.setdefault("name", "visits")
                tensor.setdefault("data", [])
            case "more":
                tensor[draw(TEXTS)] = draw(VALUES)
            case _:
                tensor["parameters"] = draw(st.one_of(st.just({"binary_data_size": draw(NUMBERS)}), VALUES))
    return found


OUTPUTS = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {
                "name": st.sampled_from(
                    ["probability", "risk", "reasons", "contributions", "customer_id", "error", "none"]
                )
            },
            optional={"parameters": st.dictionaries(st.sampled_from(["binary_data", "?"]), VALUES, max_size=1)},
        ),
        ANYTHING,
    ),
    max_size=3,
)


def test_v2_answers_whatever_is_asked(client: Client) -> None:
    seen = set()

    @many
    @given(
        json_tensors(),
        st.one_of(st.just({}), PARAMETERS, ANYTHING),
        st.one_of(st.none(), st.none(), OUTPUTS, ANYTHING),
        st.one_of(st.text(max_size=9), st.text(max_size=9), VALUES),
    )
    def ask(inputs: Any, parameters: Any, outputs: Any, own: Any) -> None:
        document = {"inputs": inputs, "parameters": parameters, "id": own}
        seen.add(client.ask(INFER, document | ({} if outputs is None else {"outputs": outputs})))

    ask()
    assert seen >= {200, 400}


def test_v2_answers_tensors_alone(client: Client) -> None:
    seen = set()

    @many
    @given(json_tensors())
    def ask(inputs: Any) -> None:
        seen.add(client.ask(INFER, {"inputs": inputs}))

    ask()
    assert seen >= {200, 400, 422}


def packed(datatype: str, values: list[Any]) -> bytes:
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in values)
    return struct.pack(f"<{len(values)}{'q' if datatype == 'INT64' else 'd'}", *values)


@st.composite
def binary_requests(draw: st.DrawFn) -> tuple[bytes, str]:
    """JSON with bytes behind it, and how long the JSON is said to be."""
    count = draw(st.integers(1, 3))
    kinds = {str: "BYTES", int: "INT64", float: "FP64"}
    inputs: list[dict[str, Any]] = []
    tail = b""
    for name, value in bundles.CUSTOMER.items():
        datatype = kinds[type(value)]
        odd = {"BYTES": "gold", "INT64": -(2**63), "FP64": float("nan")}[datatype]
        content = packed(datatype, draw(st.sampled_from([[value] * count] * 9 + [[odd] * count])))
        if draw(st.integers(0, 19)) == 0:
            content = draw(
                st.one_of(st.binary(max_size=40), st.just(content[:-1]), st.just(content * 2), st.just(content[::-1]))
            )
        if draw(st.integers(0, 19)) == 0:
            datatype = draw(st.sampled_from([*WIDTHS, "BYTES", "FP8"]))
        size = len(content) if draw(st.integers(0, 39)) else draw(st.one_of(st.integers(-1, 100), VALUES))
        shape = [count] if draw(st.integers(0, 39)) else draw(shapes(count))
        inputs.append({"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}})
        tail += content
    document: dict[str, Any] = {"inputs": inputs, "parameters": draw(st.one_of(st.just({}), st.just({}), PARAMETERS))}
    head = json.dumps(document).encode()
    tail = draw(st.sampled_from([tail, tail, tail, tail, tail[:-3], tail + b"\0", b""]))
    length = draw(
        st.sampled_from([str(len(head))] * 8 + [str(len(head) - 1), "0", "-1", "", "1e3", "9" * 30, "٣", " 7"])
    )
    return head + tail, length


def test_v2_answers_any_bytes_behind_its_json(client: Client) -> None:
    seen = set()

    @many
    @given(binary_requests(), st.sampled_from(["application/octet-stream", "application/json"]))
    def ask(request: tuple[bytes, str], media: str) -> None:
        body, length = request
        seen.add(client.send(INFER, body, {LENGTH_HEADER: length.encode().decode("latin-1"), "content-type": media}))

    ask()
    assert seen >= {200, 400, 415, 422}


MEDIA = [
    "application/json",
    "application/json; charset=utf-8",
    "text/plain",
    "",
    "application/octet-stream",
    "é",
    "a" * 5000,
]


@many
@given(
    st.sampled_from([PREDICT, EXPLAIN, INFER]),
    st.one_of(
        st.binary(max_size=200), st.text(max_size=100).map(str.encode), ANYTHING.map(lambda it: json.dumps(it).encode())
    ),
    st.sampled_from(MEDIA),
    st.sampled_from(["", "5", "0"]),
)
@example(PREDICT, b"[" * 100_000, "application/json", "")
@example(INFER, b'{"inputs":' + b"[" * 100_000, "application/json", "")
@example(PREDICT, b'{"instances": [{"plan": "\xff"}]}', "application/json", "")
@example(PREDICT, b'{"instances": [{"plan": "\\ud800"}]}', "application/json", "")
@example(
    INFER, b'{"inputs": [{"name": "\\udfff", "shape": [1], "datatype": "BYTES", "data": [""]}]}', "application/json", ""
)
@example(PREDICT, b'{"instances": [{"spend": 1e400}], "instances": [{"spend": -1e400}]}', "application/json", "")
@example(PREDICT, b'{"instances": [{"spend": ' + b"9" * 5000 + b"}]}", "application/json", "")
def test_any_bytes_are_answered(client: Client, path: str, body: bytes, media: str, length: str) -> None:
    headers = {"content-type": media.encode().decode("latin-1")} | ({LENGTH_HEADER: length} if length else {})
    client.send(path, body, headers)


@pytest.fixture(scope="module")
def stub(predictor: Predictor) -> Iterator[Any]:
    with grpc.insecure_channel(f"127.0.0.1:{predictor.grpc_port}") as channel:
        yield grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)


def asked(stub: Any, message: Any) -> grpc.StatusCode:
    """Asks, and checks that a refusal is one of the protocol, and says nothing of the server."""
    try:
        assert stub.ModelInfer(message, timeout=30).model_name == "shop"
    except grpc.RpcError as error:
        return told(error).code()
    return grpc.StatusCode.OK


def told(refusal: Any) -> Any:
    assert refusal.code() in GRPC_REFUSALS, refusal
    quiet(refusal.details().encode())
    assert dict(refusal.trailing_metadata())["x-request-id"]
    return refusal


CONTENTS: dict[str, st.SearchStrategy[Any]] = {
    "bool_contents": st.booleans(),
    "int_contents": st.integers(-(2**31), 2**31 - 1),
    "int64_contents": st.one_of(st.integers(0, 30), st.integers(-(2**63), 2**63 - 1)),
    "uint_contents": st.integers(0, 2**32 - 1),
    "uint64_contents": st.integers(0, 2**64 - 1),
    "fp32_contents": st.floats(width=32),
    "fp64_contents": st.floats(),
    "bytes_contents": st.one_of(st.binary(max_size=10), TEXTS.map(str.encode)),
}
_USUAL = {str: ("BYTES", "bytes_contents"), int: ("INT64", "int64_contents"), float: ("FP64", "fp64_contents")}


@st.composite
def messages(draw: st.DrawFn) -> Any:
    """A message of the protocol: the shop's customer, typed or raw, with faults."""
    request = pb.ModelInferRequest(model_name=draw(st.sampled_from(["shop"] * 9 + ["", "other"])), id=draw(TEXTS))
    count, is_raw = draw(st.integers(1, 3)), draw(st.booleans())
    for name, value in bundles.CUSTOMER.items():
        datatype, kind = _USUAL[type(value)]
        odd = draw(st.integers(0, 9)) == 0
        tensor = request.inputs.add(
            name=draw(NAMES) if odd and draw(st.booleans()) else name, datatype=datatype, shape=[count]
        )
        if odd and draw(st.booleans()):
            tensor.datatype = draw(st.one_of(st.sampled_from([*WIDTHS, "BYTES"]), TEXTS))
        if odd and draw(st.booleans()):
            del tensor.shape[:]
            tensor.shape.extend(draw(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-1, 3), max_size=3)))
        if is_raw and not (odd and draw(st.booleans())):
            content = packed(datatype, [value] * count)
            request.raw_input_contents.append(draw(st.binary(max_size=30)) if odd else content)
            continue
        kind = draw(st.sampled_from(sorted(CONTENTS))) if odd and draw(st.booleans()) else kind
        usual = [value.encode() if isinstance(value, str) else value] * count
        values = draw(st.lists(CONTENTS[kind], max_size=3)) if odd or kind != _USUAL[type(value)][1] else usual
        getattr(tensor.contents, kind).extend(values)
    for name in draw(
        st.lists(st.sampled_from(["explain", "partial", "top", "threshold", "binary_data_output", "?"]), max_size=2)
    ):
        parameter = request.parameters[name]
        match draw(st.sampled_from(["bool", "int", "text", "nothing"])):
            case "bool":
                parameter.bool_param = draw(st.booleans())
            case "int":
                parameter.int64_param = draw(st.integers(-1, 101))
            case "text":
                parameter.string_param = draw(TEXTS)
    for name in draw(st.lists(st.sampled_from(["probability", "reasons", "error", "none"]), max_size=2)):
        request.outputs.add(name=name)
    return request


def test_grpc_answers_whatever_is_asked(stub: Any) -> None:
    seen = set()

    @many
    @given(messages())
    def ask(message: Any) -> None:
        seen.add(asked(stub, message))

    ask()
    assert seen >= {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}


def test_grpc_answers_bytes_that_are_hardly_a_message(predictor: Predictor) -> None:
    seen = set()
    with grpc.insecure_channel(f"127.0.0.1:{predictor.grpc_port}") as channel:
        ask_raw = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")

        @many
        @given(st.one_of(st.binary(max_size=300), messages().map(lambda one: one.SerializeToString()[:-3])))
        @example(b"\xff\xff")
        def ask(content: bytes) -> None:
            with pytest.raises(grpc.RpcError) as refused:
                ask_raw(content, timeout=30)
            seen.add(told(refused.value).details())

        ask()
    assert "message is not a request of the protocol" in seen


def test_nothing_of_this_was_a_surprise_to_the_server(predictor: Predictor) -> None:
    assert "Traceback" not in predictor.said()
    assert not [line for line in predictor.lines() if line.get("level") == "ERROR"]
    assert predictor.predict(bundles.CUSTOMER).status == 200
