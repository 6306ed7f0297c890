"""The addresses that answer."""

from __future__ import annotations

from typing import Any

from serving.openapi import examples, refusals
from serving.openapi.fields import Schema, ref
from serving.openapi.operations import JSON, Operation, answer, header, operation, responses
from serving.v2_body import LENGTH_HEADER, SIZE
from serving.version import Version

BINARY = "application/octet-stream"
TAG = "prediction"

_REFUSED = (*refusals.PREDICTION, *refusals.CLOSED)

_CUSTOMERS: Schema = {"anyOf": [ref("Instances"), ref("PartialInstances")]}

_INFER = f"""\
One input tensor for each field, one output tensor for each part of the answer.

Tensors may also be bytes (the protocol's binary extension): in the place of `data`, an input has the parameter \
`{SIZE}`; its values stand little-endian behind the JSON, in the order of the inputs, texts each behind its length in \
four bytes; and the header `{LENGTH_HEADER}` says how many bytes the JSON has.

gRPC: `inference.GRPCInferenceService/ModelInfer` on the server's gRPC port, with typed or raw contents, the same \
fields, parameters and outputs. A refusal is a gRPC status; its text has one line for each fault."""


def paths(model: str, version: Version) -> dict[str, Any]:
    """The addresses of `model`."""
    return {
        f"/v1/models/{model}:predict": {"post": _predict(version)},
        f"/v1/models/{model}:explain": {"post": _explain(version)},
        f"/v2/models/{model}/infer": {"post": _infer(version)},
    }


def _predict(version: Version) -> Operation:
    return operation(
        "predict",
        TAG,
        "Who leaves, and what to do about it",
        responses(answer(ref("Predictions")), _REFUSED),
        description="With `explain: true` it also needs the scope `explain`, as `:explain` does.",
        requestBody=_body(_CUSTOMERS, examples.predictions(version)),
        parameters=_traces(),
    )


def _explain(version: Version) -> Operation:
    return operation(
        "explain",
        TAG,
        "The same, and why",
        responses(answer(ref("Explanations")), _REFUSED),
        description="What each column adds to the log-odds, and the strongest reasons in words.",
        requestBody=_body(_CUSTOMERS, examples.explanations(version)),
        parameters=_traces(),
    )


def _infer(version: Version) -> Operation:
    body, found = _body(ref("Tensors"), examples.inferences(version)), answer(ref("Inference"))
    for content in (body["content"], found["content"]):
        content[BINARY] = {"schema": {"type": "string", "format": "binary"}}
    found["headers"] |= refusals.pointers("Inference-Header-Content-Length")
    length = header(LENGTH_HEADER, "How many bytes of the body are JSON, where others follow.", "integer")
    return operation(
        "infer",
        TAG,
        "The same as tensors: the open inference protocol",
        responses(found, _REFUSED, inference=True),
        description=_INFER,
        requestBody=body,
        parameters=[*_traces(), length],
    )


def _body(schema: Schema, shown: examples.Examples) -> dict[str, Any]:
    return {"required": True, "content": {JSON: {"schema": schema, "examples": shown}}}


def _traces() -> list[dict[str, Any]]:
    return [
        header("X-Request-Id", "How the caller finds the request again; comes back, and stands in the log."),
        header("traceparent", "W3C Trace Context."),
    ]
