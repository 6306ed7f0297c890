"""One question by three protocols and three ways: one answer."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pytest
from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelMetadataRequest

from churn.domain import bundle, encoding
from churn.stores.settings import Settings
from churn.stores.traffic_store import open_traffic
from serving.stock import InferInput, InferRequest, InferResponse, grpc_predict_v2_pb2_grpc
from tests import bundles
from tests.predictors import Predictor

ANN, BOB = bundles.CUSTOMER, {**bundles.CUSTOMER, "plan": "plus", "visits": 30, "spend": 900.125, "rating": 1.5}

QUESTIONS: dict[str, list[dict[str, Any]]] = {
    "by features": [ANN, BOB],
    "by id": [{"customer_id": "bob"}, {"customer_id": "ann"}, {"customer_id": "bob"}],
    "by id with fresh values": [{"customer_id": "ann", "visits": 40}, {"customer_id": "bob", "visits": 2}],
    "by id with all values": [{"customer_id": "nobody", **ANN}],
}


@pytest.fixture(scope="module")
def stub(predictor: Predictor) -> Iterator[Any]:
    with grpc.insecure_channel(f"127.0.0.1:{predictor.grpc_port}") as channel:
        yield grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)


def tensors(rows: Sequence[Mapping[str, Any]]) -> list[InferInput]:
    kinds = {str: "BYTES", int: "INT64", float: "FP64"}
    inputs = []
    for name in rows[0]:
        values = [row[name] for row in rows]
        inputs.append(InferInput(name, [len(rows)], kinds[type(values[0])], values))
    return inputs


def by_v1(predictor: Predictor, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    reply = predictor.predict(*rows)
    assert reply.status == 200, reply.body
    answers: list[dict[str, Any]] = reply.json["predictions"]
    return answers


def by_v2(predictor: Predictor, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    content, _ = InferRequest("shop", tensors(rows), "42").to_rest()
    reply = predictor.infer(content)
    assert reply.status == 200, reply.body
    assert (reply.json["id"], reply.json["model_name"], reply.json["model_version"]) == ("42", "shop", "7")
    return rows_of({output["name"]: output["data"] for output in reply.json["outputs"]})


def by_v2_binary(predictor: Predictor, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    content, json_length = InferRequest("shop", raw(tensors(rows)), parameters={"binary_data_output": True}).to_rest()
    reply = predictor.infer(content, Inference_Header_Content_Length=str(json_length))
    assert reply.status == 200, reply.body
    response = InferResponse.from_bytes(reply.body, int(reply.headers["inference-header-content-length"]))
    return rows_of({output.name: output.as_numpy().tolist() for output in response.outputs})


def by_grpc(stub: Any, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    response = InferResponse.from_grpc(stub.ModelInfer(InferRequest("shop", tensors(rows)).to_grpc()))
    return rows_of({output.name: output.data for output in response.outputs})


def by_raw_grpc(stub: Any, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    response = InferResponse.from_grpc(stub.ModelInfer(InferRequest("shop", raw(tensors(rows))).to_grpc()))
    return rows_of({output.name: output.as_numpy().tolist() for output in response.outputs})


def raw(inputs: list[InferInput]) -> list[InferInput]:
    for tensor in inputs:
        values = [value.encode() if isinstance(value, str) else value for value in tensor.data]
        kind = {"BYTES": np.object_, "INT64": np.int64, "FP64": np.float64}[tensor.datatype]
        tensor.set_data_from_numpy(np.array(values, kind), binary_data=True)
    return inputs


def rows_of(outputs: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    plain = {name: [v.decode() if isinstance(v, bytes) else v for v in values] for name, values in outputs.items()}
    return [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]


@pytest.mark.parametrize("question", QUESTIONS)
def test_all_protocols_give_the_same_answer(predictor: Predictor, stub: Any, question: str) -> None:
    rows = QUESTIONS[question]
    answers = by_v1(predictor, rows)
    for others in (
        by_v2(predictor, rows),
        by_v2_binary(predictor, rows),
        by_grpc(stub, rows),
        by_raw_grpc(stub, rows),
    ):
        assert [one.pop("probability") for one in others] == pytest.approx(
            [one["probability"] for one in answers], abs=1e-12
        )
        assert others == [{name: value for name, value in one.items() if name != "probability"} for one in answers]


def test_an_answer_says_all_that_follows_from_the_probability(predictor: Predictor, shop: Settings) -> None:
    (answer,) = by_v1(predictor, [{"customer_id": "ann"}])
    of = bundles.shop()
    p = answer["probability"]
    level = "low" if p < bundles.THRESHOLD else "medium" if p < of.high_risk else "high"
    assert answer == {
        "customer_id": "ann",
        "probability": p,
        "decision": p >= 0.4,
        "risk": level,
        "confidence": max(p, 1 - p),
        "recommendation": of.recommendations[level],
        "model_name": "shop",
        "model_version": 7,
        "variant": "champion",
    }


def test_the_probability_is_the_bundles_own(predictor: Predictor, shop: Settings) -> None:
    document = open_traffic(shop).read("shop")
    assert document
    loaded = bundle.load(Path(document.champion.bundle), document.champion.digest)
    schema = encoding.feature_schema(loaded.contract, loaded.contract.raw)
    table = pa.Table.from_pylist([dict(row) for row in bundles.CUSTOMERS.values()], schema=schema)
    expected = loaded.predict(encoding.encode(loaded.contract, table))
    by_id = by_v1(predictor, [{"customer_id": key} for key in bundles.CUSTOMERS])
    assert [one["probability"] for one in by_id] == pytest.approx(expected.tolist(), abs=1e-12)
    assert len(set(expected)) == len(bundles.CUSTOMERS)


def test_a_fresh_value_overrides_the_stored_one(predictor: Predictor) -> None:
    stored, fresh, asked_whole = by_v1(
        predictor, [{"customer_id": "ann"}, {"customer_id": "ann", "visits": 40}, {**ANN, "visits": 40}]
    )
    assert fresh["probability"] != stored["probability"]
    assert fresh["probability"] == asked_whole["probability"]
    assert "customer_id" not in asked_whole


def test_a_fresh_null_overrides_the_stored_value(predictor: Predictor) -> None:
    stored, fresh, whole = by_v1(
        predictor, [{"customer_id": "ann"}, {"customer_id": "ann", "rating": None}, {**ANN, "rating": None}]
    )
    assert stored["probability"] != fresh["probability"] == whole["probability"]


def test_columns_that_may_be_null_may_be_left_out(predictor: Predictor) -> None:
    needed = {name: ANN[name] for name in ("plan", "visits", "spend")}
    without, with_nulls, with_constant = by_v1(
        predictor,
        [needed, {**needed, "region": None, "rating": None, "discount": None}, {**needed, "discount": 0.0}],
    )
    assert without == with_nulls == with_constant


def test_values_are_spelled_as_in_training(predictor: Predictor) -> None:
    plain, spelled, number, blanks = by_v1(
        predictor, [ANN, {**ANN, "plan": "0"}, {**ANN, "plan": 0}, {**ANN, "plan": " basic "}]
    )
    assert plain == spelled == number == blanks


def test_a_value_changed_in_the_online_store_changes_the_answer(predictor: Predictor, shop: Settings) -> None:
    bundles.remember(shop, bundles.shop(), {"dan": ANN})
    (before,) = by_v1(predictor, [{"customer_id": "dan"}])
    bundles.remember(shop, bundles.shop(), {"dan": {**ANN, "visits": 40}})
    (after,) = by_v1(predictor, [{"customer_id": "dan"}])
    assert before["probability"] != after["probability"]
    (expected,) = by_v1(predictor, [{**ANN, "visits": 40}])
    assert after["probability"] == expected["probability"]


def test_a_large_batch_keeps_its_order(predictor: Predictor) -> None:
    rows = [{**ANN, "visits": 1 + number % 40} for number in range(2_000)]
    answers = by_v1(predictor, rows)
    singles = {visits: by_v1(predictor, [{**ANN, "visits": visits}])[0] for visits in (1, 20, 40)}
    assert len(answers) == len(rows)
    for visits, single in singles.items():
        found = [answers[place]["probability"] for place in range(visits - 1, len(rows), 40)]
        assert found == pytest.approx([single["probability"]] * 50, abs=1e-6)


def test_many_at_once_are_answered_each_with_their_own(predictor: Predictor) -> None:
    keys = ["ann", "bob", "cat"] * 20
    expected = {key: by_v1(predictor, [{"customer_id": key}])[0] for key in bundles.CUSTOMERS}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda key: by_v1(predictor, [{"customer_id": key}])[0], keys))
    assert answers == [expected[key] for key in keys]


def test_a_batch_says_how_many_are_at_which_risk_in_every_protocol(predictor: Predictor, stub: Any) -> None:
    rows = [ANN, BOB, {**ANN, "visits": 40, "spend": 900.5}]
    levels = [one["risk"] for one in by_v1(predictor, rows)]
    counts = {level: levels.count(level) for level in ("low", "medium", "high")}
    assert predictor.predict(*rows).json["risk"] == counts
    named = {f"risk_{level}": count for level, count in counts.items()}
    content, _ = InferRequest("shop", tensors(rows)).to_rest()
    assert predictor.infer(content).json["parameters"] == named
    response = stub.ModelInfer(InferRequest("shop", tensors(rows)).to_grpc())
    assert {name: value.int64_param for name, value in response.parameters.items()} == named


def test_a_partial_answer_is_the_same_in_every_protocol(predictor: Predictor, stub: Any) -> None:
    rows = [{"customer_id": key} for key in ("ann", "zoe", "bob", "old")]
    reply = predictor.send("/v1/models/shop:predict", {"instances": rows, "parameters": {"partial": True}})
    assert reply.status == 200
    ann, zoe, bob, old = reply.json["predictions"]
    assert [ann, bob] == by_v1(predictor, [rows[0], rows[2]])
    assert zoe == {
        "customer_id": "zoe",
        "error": {
            "code": "unknown_customer",
            "message": "instances[1].customer_id names no known customer",
            "details": [{"path": "instances[1].customer_id", "problem": "names no known customer"}],
        },
    }
    assert old["error"]["code"] == "stale_customer"
    content, _ = InferRequest("shop", tensors(rows), parameters={"partial": True}).to_rest()
    found = {output["name"]: output["data"] for output in predictor.infer(content).json["outputs"]}
    message = InferRequest("shop", tensors(rows), parameters={"partial": True}).to_grpc()
    by_message = {output.name: output.data for output in InferResponse.from_grpc(stub.ModelInfer(message)).outputs}
    assert found["probability"] == [ann["probability"], None, bob["probability"], None]
    np.testing.assert_array_equal(by_message["probability"], [ann["probability"], np.nan, bob["probability"], np.nan])
    assert found["error"][1] == "inputs.customer_id[1] names no known customer"
    assert list(found["error"]) == [v.decode() if isinstance(v, bytes) else v for v in by_message["error"]]


def test_a_value_of_another_type_is_its_customers_fault_alone(predictor: Predictor) -> None:
    rows = [{**bundles.CUSTOMER, "visits": visits} for visits in (1, 2, 3)]
    content, _ = InferRequest("shop", tensors(rows)).to_rest()
    asked = {**content, "parameters": {"partial": True}}
    (visits,) = (one for one in asked["inputs"] if one["name"] == "visits")
    right = {one["name"]: one["data"] for one in predictor.infer(asked).json["outputs"]}
    for wrong in ("x", 1.5, [2], True, 2**63):
        visits["data"][1] = wrong
        found = {one["name"]: one["data"] for one in predictor.infer(asked).json["outputs"]}
        assert found["error"] == ["", "inputs.visits[1] is not INT64", ""]
        assert found["probability"] == [right["probability"][0], None, right["probability"][2]]


def test_reasons_are_the_same_by_parameter_by_route_and_in_every_protocol(predictor: Predictor, stub: Any) -> None:
    rows = [{"customer_id": "ann"}, {"customer_id": "bob", "visits": 2}]
    parameters = {"explain": True, "top": 2}
    by_parameter = predictor.send("/v1/models/shop:predict", {"instances": rows, "parameters": parameters}).json
    by_route = predictor.send("/v1/models/shop:explain", {"instances": rows, "parameters": {"top": 2}}).json
    assert by_route["explanations"] == by_parameter["predictions"]
    for one in by_route["explanations"]:
        why = one["explanation"]
        logit = np.log(one["probability"] / (1 - one["probability"]))
        assert why["base_value"] + sum(why["contributions"].values()) == pytest.approx(logit, abs=1e-4)
        assert [set(reason) for reason in why["reasons"]] == [
            {"column", "value", "contribution", "direction", "text"}
        ] * 2
    asked = [{**row, "visits": row.get("visits", 12)} for row in rows]
    content, _ = InferRequest("shop", tensors(asked), parameters=parameters).to_rest()
    found = {output["name"]: output["data"] for output in predictor.infer(content).json["outputs"]}
    flat = [value for one in by_route["explanations"] for value in one["explanation"]["contributions"].values()]
    assert found["contributions"] == pytest.approx(flat, abs=1e-6)
    response = InferResponse.from_grpc(
        stub.ModelInfer(InferRequest("shop", tensors(asked), parameters=parameters).to_grpc())
    )
    assert {one.name: one.data for one in response.outputs}["contributions"] == found["contributions"]


def test_a_threshold_that_the_caller_names_decides(predictor: Predictor) -> None:
    (one,) = by_v1(predictor, [ANN])
    for threshold in (one["probability"], one["probability"] + 1e-6):
        body = {"instances": [ANN], "parameters": {"threshold": threshold}}
        (answer,) = predictor.send("/v1/models/shop:predict", body).json["predictions"]
        assert answer["decision"] == (one["probability"] >= threshold)


def test_the_model_says_what_it_is(predictor: Predictor) -> None:
    reply = predictor.send("/model-info")
    champion = reply.json["champion"]
    assert (reply.status, reply.json["model"], champion["version"]) == (200, "shop", 7)
    assert champion["threshold"] == bundles.THRESHOLD
    assert list(champion["features"]) == list(bundles.shop().raw)


def test_answers_to_one_connection_come_in_the_order_of_their_questions(predictor: Predictor) -> None:
    body = [json.dumps({"instances": [{**ANN, "visits": visits}]}).encode() for visits in (1, 20, 40)]
    head = "POST /v1/models/shop:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", predictor.http_port), timeout=30) as connection:
        connection.sendall(b"".join(head.format(len(one)).encode() + one for one in body))
        with connection.makefile("rb") as answers:
            found = [json.loads(_content(answers))["predictions"][0] for _ in body]
    assert found == [by_v1(predictor, [{**ANN, "visits": visits}])[0] for visits in (1, 20, 40)]


def _content(answers: Any) -> bytes:
    """The next answer's body."""
    length = 0
    while (line := answers.readline().strip().lower()) != b"":
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return bytes(answers.read(length))


def test_only_the_outputs_that_are_asked_for_come_back(predictor: Predictor) -> None:
    content, _ = InferRequest("shop", tensors([ANN])).to_rest()
    wanted = [{"name": "risk"}, {"name": "probability", "parameters": {"binary_data": True}}]
    reply = predictor.infer({**content, "outputs": wanted})
    response = InferResponse.from_bytes(reply.body, int(reply.headers["inference-header-content-length"]))
    assert [output.name for output in response.outputs] == ["risk", "probability"]
    assert reply.body[-8:] == struct.pack("<d", by_v1(predictor, [ANN])[0]["probability"])


def test_tensors_may_be_columns_of_a_matrix(predictor: Predictor) -> None:
    content, _ = InferRequest("shop", tensors([ANN, BOB])).to_rest()
    for tensor in content["inputs"]:
        tensor["shape"], tensor["data"] = [2, 1], [[value] for value in tensor["data"]]
    reply = predictor.infer(content)
    assert rows_of({output["name"]: output["data"] for output in reply.json["outputs"]}) == by_v1(predictor, [ANN, BOB])


def test_the_metadata_names_the_columns_and_the_answers(predictor: Predictor, stub: Any) -> None:
    of_rest = predictor.send("/v2/models/shop").json
    of_grpc = stub.ModelMetadata(ModelMetadataRequest(name="shop"))
    assert [tensor["name"] for tensor in of_rest["inputs"]] == ["customer_id", *bundles.shop().raw]
    assert {t["name"]: t["datatype"] for t in of_rest["inputs"]}["visits"] == "INT64"
    assert [tensor.name for tensor in of_grpc.inputs] == [tensor["name"] for tensor in of_rest["inputs"]]
    assert [tensor.name for tensor in of_grpc.outputs] == [tensor["name"] for tensor in of_rest["outputs"]]
