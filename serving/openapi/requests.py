"""What is sent, as JSON Schema: bodies of both protocols."""

from __future__ import annotations

from typing import Any

from churn.domain.contract import Contract
from serving.openapi.fields import Schema, customer, key, ref, tensors
from serving.outputs import ERROR, EXPLAINED, OUTPUTS
from serving.v2 import BINARY_OUTPUT


def bodies(model: str, contract: Contract, options: Schema) -> dict[str, Schema]:
    """Bodies of requests; `options` is the schema of what a caller may say besides the customers."""
    whole: dict[str, Schema] = {
        "CustomerId": key(contract),
        "Customer": customer(contract),
        "Instances": _instances(ref("Customer"), ref("Options"), ["instances"]),
        "PartialInstances": _instances(
            {"type": "object", "description": "A Customer; one with faults gets them in place of an answer."},
            {"allOf": [ref("Options"), {"properties": {"partial": {"const": True}}, "required": ["partial"]}]},
            ["instances", "parameters"],
        ),
        "Shape": {
            "title": "Shape",
            "description": "[n] or [n, 1], for n customers; the same n in all tensors.",
            "type": "array",
            "prefixItems": [{"type": "integer", "minimum": 1}, {"const": 1}],
            "items": False,
            "minItems": 1,
        },
    }
    named = {f"Tensor.{one['title']}": one for one in tensors(contract)}
    known = [*OUTPUTS, *EXPLAINED, ERROR]
    binary: Schema = {"type": "boolean", "default": False, "description": "Whether all outputs come as bytes."}
    return whole | named | {
        "InferenceOptions": _closed({**options["properties"], BINARY_OUTPUT: binary}, []),
        "Tensors": _closed(
            {
                "inputs": {
                    "description": "One tensor for each field, each name once.",
                    "type": "array",
                    "items": {"anyOf": [ref(name) for name in named]},
                    "minItems": 1,
                },
                "outputs": {
                    "description": "The outputs that are wanted; all by default.",
                    "type": "array",
                    "items": _closed({"name": {"enum": known}, "parameters": _binary()}, ["name"]),
                },
                "parameters": ref("InferenceOptions"),
                "id": {"type": "string", "description": "Comes back with the answer."},
                "model_name": {"enum": [model, ""]},
            },
            ["inputs"],
        ),
    }  # fmt: skip


def _instances(customer: Schema, options: Schema, needed: list[str]) -> Schema:
    many: Schema = {"type": "array", "items": customer, "minItems": 1}
    return _closed({"instances": many, "parameters": options}, needed)


def _binary() -> Schema:
    way: Schema = {"type": "boolean", "description": "Whether this output comes as bytes."}
    return {"type": "object", "properties": {"binary_data": way}}


def _closed(properties: dict[str, Any], needed: list[str]) -> Schema:
    found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return found | ({"required": needed} if needed else {})
