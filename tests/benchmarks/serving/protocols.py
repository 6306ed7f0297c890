"""The same customers in the form of every protocol, and the probabilities in its answers."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Rows = Sequence[Mapping[str, Any]]
JSON = {"Content-Type": "application/json"}
LENGTH = "Inference-Header-Content-Length"
GRPC_PATH = "/inference.GRPCInferenceService/ModelInfer"
_DATATYPES = {str: "BYTES", int: "INT64", float: "FP64"}
_DTYPES = {"INT64": "<i8", "FP64": "<f8"}


@dataclass(frozen=True)
class Body:
    """A request; over gRPC the content is the message without its prefix, and headers are metadata."""

    content: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)


@dataclass(frozen=True)
class Protocol:
    """How to ask: `write` makes a request of rows, `read` takes the probabilities from an answer's body and headers."""

    name: str
    path: str
    write: Callable[[Rows], Body]
    read: Callable[[bytes, Mapping[str, str]], list[float]]

    @property
    def grpc(self) -> bool:
        return self.path == GRPC_PATH


def v1(model: str, verb: str = "predict") -> Protocol:
    """KServe's first protocol: one JSON object a customer."""
    return Protocol("v1 JSON", f"/v1/models/{model}:{verb}", lambda rows: _json({"instances": rows}), _read_v1)


def v2(model: str, **parameters: Any) -> Protocol:
    """Open inference in JSON: one tensor a column."""

    def write(rows: Rows) -> Body:
        tensors = [
            {"name": name, "shape": [len(values)], "datatype": datatype, "data": values}
            for name, datatype, values in _columns(rows)
        ]
        return _json({"inputs": tensors} | ({"parameters": parameters} if parameters else {}))

    return Protocol("v2 JSON", f"/v2/models/{model}/infer", write, _read_v2)


def v2_binary(model: str) -> Protocol:
    """Open inference with the tensors' bytes behind the JSON, both ways."""

    def write(rows: Rows) -> Body:
        raw = [(name, datatype, _raw(datatype, values)) for name, datatype, values in _columns(rows)]
        tensors = [
            {"name": name, "shape": [len(rows)], "datatype": datatype, "parameters": {"binary_data_size": len(data)}}
            for name, datatype, data in raw
        ]
        head = json.dumps({"inputs": tensors, "parameters": {"binary_data_output": True}}).encode()
        headers = {"Content-Type": "application/octet-stream", LENGTH: str(len(head))}
        return Body(head + b"".join(data for _, _, data in raw), headers)

    return Protocol("v2 binary", f"/v2/models/{model}/infer", write, _read_v2)


def v2_grpc(model: str) -> Protocol:
    """Open inference over gRPC, with the tensors' bytes as `raw_input_contents`, as NVIDIA's and KServe's clients send
    arrays."""

    def write(rows: Rows) -> Body:
        message = _messages().ModelInferRequest(model_name=model)
        for name, datatype, values in _columns(rows):
            message.inputs.add(name=name, datatype=datatype, shape=[len(values)])
            message.raw_input_contents.append(_raw(datatype, values))
        return Body(message.SerializeToString(), {})

    return Protocol("v2 gRPC", GRPC_PATH, write, _read_grpc)


def plain_row(path: str) -> Protocol:
    """What a FastAPI endpoint takes: the customer as an object."""
    return Protocol("JSON", path, lambda rows: _json(rows[0]), lambda body, _: [json.loads(body)["probability"]])


def plain_batch(path: str) -> Protocol:
    """What a FastAPI endpoint takes for many: a list of objects."""
    return Protocol("JSON", path, lambda rows: _json({"customers": rows}), _read_v1)


def _json(document: Any) -> Body:
    return Body(json.dumps(document, separators=(",", ":")).encode())


def _columns(rows: Rows) -> list[tuple[str, str, list[Any]]]:
    return [(name, _DATATYPES[type(value)], [row[name] for row in rows]) for name, value in rows[0].items()]


def _raw(datatype: str, values: Sequence[Any]) -> bytes:
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(text)) + text for text in map(str.encode, values))
    return np.array(values, _DTYPES[datatype]).tobytes()


def _read_v1(body: bytes, _: Mapping[str, str]) -> list[float]:
    document = json.loads(body)
    answers = document.get("predictions") or document["explanations"]
    return [answer["probability"] for answer in answers]


def _read_v2(body: bytes, headers: Mapping[str, str]) -> list[float]:
    size = next((int(value) for name, value in headers.items() if name.lower() == LENGTH.lower()), len(body))
    start = size
    for tensor in json.loads(body[:size])["outputs"]:
        length = (tensor.get("parameters") or {}).get("binary_data_size", 0)
        if tensor["name"] == "probability":
            return tensor["data"] if "data" in tensor else np.frombuffer(body[start : start + length]).tolist()
        start += length
    raise KeyError("probability")


def _read_grpc(body: bytes, _: Mapping[str, str]) -> list[float]:
    answer = _messages().ModelInferResponse.FromString(body)
    place = [output.name for output in answer.outputs].index("probability")
    if answer.raw_output_contents:
        return np.frombuffer(answer.raw_output_contents[place]).tolist()
    return list(answer.outputs[place].contents.fp64_contents)


def _messages() -> Any:
    from kserve.protocol.grpc import grpc_predict_v2_pb2

    import serving.stock  # noqa: F401 - KServe, imported so that it leaves the command line alone

    return grpc_predict_v2_pb2
