"""Whatever is wrong with a request, it is said, with the place, and nothing else is."""

from __future__ import annotations

import http.client
import json
import socket
from contextlib import suppress
from typing import Any

import pytest

from tests import bundles
from tests.predictors import Predictor
from tests.tensors import tensor, tensors

ANN = bundles.CUSTOMER
NOT_SHAPED = "is not what it should be: "


def but(**changes: Any) -> dict[str, Any]:
    return {**ANN, **changes}


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in ANN.items() if name not in names}


VALUES: dict[str, tuple[list[dict[str, Any]], dict[str, str]]] = {
    "unknown field": ([but(visit=3)], {"instances[0].visit": "is no field of this model; did you mean 'visits'?"}),
    "the target": ([but(gone="no")], {"instances[0].gone": "is no field of this model"}),
    "missing field": (
        [ANN, without("visits", "plan")],
        {f"instances[1].{n}": "is missing" for n in ("visits", "plan")},
    ),
    "null where none is allowed": ([but(spend=None)], {"instances[0].spend": "is missing"}),
    "text for a number": ([ANN, but(spend="12")], {"instances[1].spend": "is not a number"}),
    "boolean for a number": ([but(visits=True)], {"instances[0].visits": "is not a number"}),
    "list for a number": ([but(visits=[1])], {"instances[0].visits": "is not a number"}),
    "mapping for a category": ([but(plan={"a": 1})], {"instances[0].plan": "is not text"}),
    "fraction for an integer": ([but(visits=1.5)], {"instances[0].visits": "is not an integer"}),
    "integer beyond 2^53": ([but(visits=2**53 + 1)], {"instances[0].visits": "is not an integer"}),
    "integer beyond any": ([but(visits=10**400)], {"instances[0].visits": "is not an integer"}),
    "below the range": ([but(spend=-0.01)], {"instances[0].spend": "is below 0"}),
    "above the range": ([but(rating=5.5)], {"instances[0].rating": "is above 5"}),
    "unknown category": ([but(plan="gold")], {"instances[0].plan": "is none of 'basic', 'plus'"}),
    "empty category": ([but(plan="")], {"instances[0].plan": "is missing"}),
    "NaN": ([but(spend=float("nan"))], {"instances[0].spend": "is not a number"}),
    "NaN where null is allowed": ([but(rating=float("nan"))], {"instances[0].rating": "is not a number"}),
    "infinity": ([but(discount=float("inf"))], {"instances[0].discount": "is not a number"}),
    "a formula without a value": ([ANN, but(visits=0)], {"instances[1]": "gives no finite value of feature spend_per"}),
    "an id that is none": ([{"customer_id": ["ann"]}], {"instances[0].customer_id": "is not text"}),
    "an id of null": ([{"customer_id": None, **ANN}], {"instances[0].customer_id": "is missing"}),
    "many faults": (
        [but(visits=-1, plan="x"), but(spend="1"), {"customer_id": "ann", "visits": 900}],
        {
            "instances[0].visits": "is below 0",
            "instances[0].plan": "is none of",
            "instances[1].spend": "is not a number",
            "instances[2].visits": "is above 500",
        },
    ),
}


@pytest.mark.parametrize("case", VALUES)
def test_v1_refuses_values_that_the_contract_does_not_allow(predictor: Predictor, case: str) -> None:
    instances, expected = VALUES[case]
    reply = predictor.predict(*instances)
    assert reply.status == 422, reply.body
    error = reply.json["error"]
    assert error["code"] == "invalid_values"
    found = {fault["path"]: fault["problem"] for fault in error["details"]}
    assert list(found) == sorted(expected, key=list(found).index)
    assert all(found[path].startswith(problem) for path, problem in expected.items()), found
    assert error["message"].startswith(" ".join(next(iter(found.items()))))


@pytest.mark.parametrize("sign", ["", "-"])
def test_a_number_of_thousands_of_digits_is_refused_with_its_place(predictor: Predictor, sign: str) -> None:
    body = json.dumps({"instances": [ANN, but(visits="?")]}).replace('"?"', sign + "9" * 5000)
    reply = predictor.send("/v1/models/shop:predict", body.encode())
    assert reply.status == 422
    assert [fault["path"] for fault in reply.json["error"]["details"]] == ["instances[1].visits"]


MALFORMED: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{", "body is not JSON"),
    "nothing": (b"", "body is not JSON"),
    "no UTF-8": (b'{"instances": [{"plan": "\xff"}]}', "body is not JSON"),
    "half a surrogate pair": (b'{"instances": [{"plan": "\\ud800"}]}', "body is not JSON"),
    "deep nesting": (b"[" * 200_000, "body is not JSON"),
    "a list": (b"[]", "body " + NOT_SHAPED + "Expected 'object', got 'array'"),
    "no instances": (b"{}", "body " + NOT_SHAPED + "Object missing required field 'instances'"),
    "instances that are no list": (b'{"instances": {}}', "instances " + NOT_SHAPED + "Expected 'array', got 'object'"),
    "an instance that is no mapping": (b'{"instances": [{}, 3]}', "instances[1] " + NOT_SHAPED + "Expected 'object'"),
    "no instance": (b'{"instances": []}', "instances is empty"),
    "another field": (
        b'{"instances": [{}], "instance": 1}',
        "instance is no field of a request; did you mean 'instances'?",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_v1_refuses_what_is_no_request(predictor: Predictor, case: str) -> None:
    body, message = MALFORMED[case]
    reply = predictor.send("/v1/models/shop:predict", body)
    assert (reply.status, reply.json["error"]["code"]) == (400, "malformed")
    assert reply.json["error"]["message"].startswith(message)


V2: dict[str, tuple[int, list[dict[str, Any]], str]] = {
    "unknown column": (
        422,
        tensors(visit=tensor("visit", "INT64", 1)),
        "inputs.visit is no field of this model; did you",
    ),
    "missing column": (422, tensors(spend=None), "inputs.spend is missing"),
    "null": (422, tensors(spend=tensor("spend", "FP64", None)), "inputs.spend[0] is missing"),
    "out of range": (422, tensors(spend=tensor("spend", "FP64", -1)), "inputs.spend[0] is below 0"),
    "unknown category": (
        422,
        tensors(plan=tensor("plan", "BYTES", "gold")),
        "inputs.plan[0] is none of 'basic', 'plus'",
    ),
    "text for a number": (422, tensors(visits=tensor("visits", "BYTES", "3")), "inputs.visits[0] is not a number"),
    "text in a number": (422, tensors(spend=tensor("spend", "FP64", "3")), "inputs.spend[0] is not FP64"),
    "fraction in an integer": (422, tensors(visits=tensor("visits", "INT64", 1.5)), "inputs.visits[0] is not INT64"),
    "boolean in an integer": (422, tensors(visits=tensor("visits", "INT64", True)), "inputs.visits[0] is not INT64"),
    "fraction for an integer": (
        422,
        tensors(visits=tensor("visits", "FP64", 1.5)),
        "inputs.visits[0] is not an integer",
    ),
    "NaN": (422, tensors(spend=tensor("spend", "FP64", float("nan"))), "inputs.spend[0] is not a number"),
    "nested list": (422, tensors(spend=tensor("spend", "FP64", [1.0])), "inputs.spend[0] is not FP64"),
    "ragged": (400, tensors(spend=tensor("spend", "FP64", 1, 2)), "inputs.spend has not as many values as plan"),
    "fewer values than the shape": (
        400,
        tensors(spend=tensor("spend", "FP64", 1, shape=[2])),
        "inputs.spend has 1 values",
    ),
    "no values": (400, tensors(spend=tensor("spend", "FP64", shape=[1])), "inputs.spend has 0 values"),
    "a matrix": (
        400,
        tensors(spend=tensor("spend", "FP64", 1, 2, shape=[1, 2])),
        "inputs.spend.shape is neither [n] nor",
    ),
    "negative shape": (400, tensors(spend=tensor("spend", "FP64", 1, shape=[-1])), "inputs.spend.shape is neither"),
    "no shape": (400, tensors(spend=tensor("spend", "FP64", 1, shape=[])), "inputs.spend.shape is neither"),
    "unknown datatype": (400, tensors(spend=tensor("spend", "FP63", 1)), "inputs.spend.datatype is none of BOOL"),
    "the same twice": (400, [*tensors(), tensor("spend", "FP64", 1.0)], "inputs.spend stands twice"),
    "no tensors": (400, [], "inputs is empty"),
    "no customer": (400, [tensor("spend", "FP64")], "inputs holds no customer"),
    "shape of text": (
        400,
        tensors(spend={**tensor("spend", "FP64", 1), "shape": ["1"]}),
        "inputs[3].shape[0] is not what",
    ),
    "another field": (400, [{**tensors()[0], "values": 1}], "inputs[0].values is no field of a request"),
    "no data": (
        400,
        [{"name": "spend", "shape": [1], "datatype": "FP64"}],
        "inputs.spend has its values neither or both",
    ),
}


@pytest.mark.parametrize("case", V2)
def test_v2_refuses_what_does_not_fit(predictor: Predictor, case: str) -> None:
    status, inputs, message = V2[case]
    reply = predictor.infer({"inputs": inputs})
    assert (reply.status, reply.json["code"]) == (status, "malformed" if status == 400 else "invalid_values"), (
        reply.body
    )
    assert reply.json["error"].startswith(message)
    assert reply.json["error"].startswith(" ".join(reply.json["details"][0].values()))


def test_v2_refuses_an_output_it_does_not_have(predictor: Predictor) -> None:
    reply = predictor.infer({"inputs": tensors(), "outputs": [{"name": "probabilty"}]})
    assert (reply.status, reply.json["error"]) == (400, "outputs.probabilty is no output; did you mean 'probability'?")


def test_v2_refuses_another_models_name(predictor: Predictor) -> None:
    assert predictor.infer({"inputs": tensors(), "model_name": "other"}).json["error"].startswith("model_name is not")


BINARY: dict[str, tuple[dict[str, Any], bytes, str | None, str]] = {
    "truncated": ({"binary_data_size": 8}, b"1234", None, "inputs.spend.parameters.binary_data_size is no number of"),
    "not of the datatype": ({"binary_data_size": 4}, b"1234", None, "inputs.spend does not hold what its shape"),
    "too much": ({"binary_data_size": 8}, b"0" * 9, None, "body has 1 bytes more than its tensors"),
    "size of text": (
        {"binary_data_size": "8"},
        b"0" * 8,
        None,
        "inputs.spend.parameters.binary_data_size is no number",
    ),
    "size below zero": (
        {"binary_data_size": -8},
        b"0" * 8,
        None,
        "inputs.spend.parameters.binary_data_size is no number",
    ),
    "JSON length of text": (
        {"binary_data_size": 8},
        b"0" * 8,
        "x",
        "header inference-header-content-length is no number",
    ),
    "JSON length too long": (
        {"binary_data_size": 8},
        b"0" * 8,
        "99999",
        "header inference-header-content-length is no",
    ),
}


@pytest.mark.parametrize("case", BINARY)
def test_v2_refuses_binary_tensors_that_do_not_fit(predictor: Predictor, case: str) -> None:
    parameters, tail, length, message = BINARY[case]
    spend = {"name": "spend", "datatype": "FP64", "shape": [1], "parameters": parameters}
    head = json.dumps({"inputs": tensors(spend=spend)}).encode()
    reply = predictor.infer(head + tail, Inference_Header_Content_Length=length or str(len(head)))
    assert (reply.status, reply.json["code"]) == (400, "malformed")
    assert reply.json["error"].startswith(message)


@pytest.mark.parametrize("tail", [b"\xff\xff\xff\xff", b"\x05\x00\x00\x00gold", b"\x04\x00\x00\x00gol\xff"])
def test_v2_refuses_binary_text_that_is_none(predictor: Predictor, tail: bytes) -> None:
    plan = {"name": "plan", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(tail)}}
    head = json.dumps({"inputs": tensors(plan=plan)}).encode()
    reply = predictor.infer(head + tail, Inference_Header_Content_Length=str(len(head)))
    assert reply.status in (400, 422)
    assert reply.json["details"][0]["path"].startswith("inputs.plan")


def test_unknown_and_old_customers_are_told_apart(predictor: Predictor) -> None:
    unknown = predictor.predict({"customer_id": "ann"}, {"customer_id": "zoe"}, {"customer_id": "old"})
    assert (unknown.status, unknown.json["error"]["code"]) == (404, "unknown_customer")
    old_problem = "names a customer whose stored values are older than 45 days; send them anew"
    assert unknown.json["error"]["details"] == [
        {"path": "instances[1].customer_id", "problem": "names no known customer"},
        {"path": "instances[2].customer_id", "problem": old_problem},
    ]
    old = predictor.predict({"customer_id": "old"})
    assert (old.status, old.json["error"]["code"]) == (409, "stale_customer")
    assert predictor.predict({"customer_id": "old", **ANN}).status == 200


def test_values_are_checked_before_customers_are_looked_up(predictor: Predictor) -> None:
    assert predictor.predict({"customer_id": "zoe", "visits": -1}).status == 422


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/models/nope:predict", {"instances": [ANN]}, 404, "unknown_model"),
        ("/v2/models/nope/infer", {"inputs": tensors()}, 404, "unknown_model"),
        ("/v2/models/nope", None, 404, "unknown_model"),
        ("/v2/models/nope/ready", None, 404, "unknown_model"),
        ("/v2/models/shop/versions/1/infer", {"inputs": tensors()}, 501, "not_supported"),
        ("/v1/models/nope:explain", {"instances": [ANN]}, 404, "unknown_model"),
        ("/v2/repository/models/shop/load", {}, 403, "forbidden"),
        ("/v2/repository/models/shop/unload", {}, 403, "forbidden"),
        ("/v2/models/shop/infer", None, 405, "method_not_allowed"),
        ("/v1/models/shop:predict", None, 405, "method_not_allowed"),
        ("/model-info", {}, 405, "method_not_allowed"),
        ("/v3", None, 404, "not_found"),
    ],
)
def test_every_path_answers_errors_in_one_form(
    predictor: Predictor, path: str, body: Any, status: int, code: str
) -> None:
    reply = predictor.send(path, body)
    assert reply.status == status
    error = reply.json if path.startswith("/v2") else reply.json["error"]
    assert (error["code"], error["details"]) == (code, [])
    assert isinstance(reply.json["error"], str if path.startswith("/v2") else dict)


@pytest.mark.parametrize("path", ["/v1/models/shop:predict", "/v2/models/shop/infer"])
def test_a_body_that_is_no_json_by_its_own_words_is_refused(predictor: Predictor, path: str) -> None:
    reply = predictor.send(path, b"instances=1", Content_Type="application/x-www-form-urlencoded")
    assert reply.status == 415


def test_a_body_without_a_content_type_is_json(predictor: Predictor) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", predictor.http_port)
    for path, body in (
        ("/v1/models/shop:predict", {"instances": [ANN]}),
        ("/v2/models/shop/infer", {"inputs": tensors()}),
    ):
        connection.request("POST", path, json.dumps(body))
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()


def test_headers_are_never_echoed(predictor: Predictor) -> None:
    for path in ("/v1/models/shop:explain", "/v1/models/shop:predict"):
        reply = predictor.send(path, {"instances": [ANN]}, Authorization="Bearer canary-5157")
        assert b"canary-5157" not in reply.body
        assert "canary-5157" not in str(reply.headers)


def test_refusals_leave_no_trace_in_the_log(predictor: Predictor) -> None:
    predictor.predict({"customer_id": "canary-9920"})
    predictor.send("/v1/models/shop:predict", b"{")
    predictor.send("/v1/models/shop:predict?canary-9920", {"instances": [but(plan="canary-9920")]})
    predictor.infer({"inputs": tensors(plan=tensor("plan", "BYTES", "canary-9920")), "id": "canary-9920"})
    assert "canary-9920" not in predictor.said()
    assert "Traceback" not in predictor.said()


def test_a_refusal_is_one_line_that_its_answer_leads_to(predictor: Predictor) -> None:
    reply = predictor.predict(but(visits=-1), X_Request_Id="one-line-1")
    assert reply.headers["x-request-id"] == "one-line-1"
    (line,) = (one for one in predictor.lines() if one.get("request_id") == "one-line-1")
    assert (line["route"], line["status"]) == ("v1 predict", 422)


def test_more_customers_than_the_limit_are_refused(predictor: Predictor) -> None:
    one = predictor.predict(*[{"customer_id": "ann"}] * 10_001)
    two = predictor.infer({"inputs": [tensor("spend", "FP64", 1.0, shape=[10_001])]})
    assert (one.status, one.json["error"]["code"]) == (413, "too_large")
    assert (two.status, two.json["code"]) == (413, "too_large")
    assert one.json["error"]["message"] == two.json["error"] == "10001 customers are more than 10000 in one request"


NO_HTTP = {
    "no protocol": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a length of text": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    "a length below zero": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "a length and chunks": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a chunk of no size": b"POST /v1/models/shop:predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\n",
}


@pytest.mark.parametrize("case", NO_HTTP)
def test_what_is_no_http_is_told_so_and_cut_off(predictor: Predictor, case: str) -> None:
    with socket.create_connection(("127.0.0.1", predictor.http_port), timeout=30) as connection:
        connection.sendall(NO_HTTP[case])
        received = b""
        with suppress(ConnectionResetError):
            while part := connection.recv(4096):
                received += part
    assert received.startswith(b"HTTP/1.1 400 ")
    assert json.loads(received.partition(b"\r\n\r\n")[2])["error"]["code"] == "malformed"
    assert predictor.ready()


def test_a_refused_request_leaves_its_connection_usable(predictor: Predictor) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", predictor.http_port, timeout=30)
    for body, status in (("{", 400), (json.dumps({"instances": [ANN]}), 200)) * 3:
        connection.request("POST", "/v1/models/shop:predict", body)
        answer = connection.getresponse()
        assert answer.status == status
        answer.read()
