"""What comes back, as JSON Schema: from the structures that are sent, with what their types do not say."""

from __future__ import annotations

from typing import Any

import msgspec

from churn.domain.contract import Contract
from churn.domain.explanation import Reason
from serving.asked import Options
from serving.errors import Fault
from serving.openapi.fields import Schema, ref
from serving.outputs import COLUMNS, ERROR, EXPLAINED, OUTPUTS
from serving.v1 import METHODS, Answer, Unanswered
from serving.v2_body import SIZE
from serving.version import LEVELS

_SHARE: Schema = {"minimum": 0, "maximum": 1}

SAID: dict[str, dict[str, Schema]] = {
    "Options": {
        "threshold": {"description": "From which probability on to act, in place of the model's own."},
        "explain": {"description": "Whether to say why."},
        "top": {"description": "How many reasons to give in words.", "type": "integer", "minimum": 1, "maximum": 100},
        "partial": {"description": "Whether to answer those who can be answered, and give the others their faults."},
    },
    "Answer": {
        "customer_id": {"description": "As it was asked by; not there for customers without an id."},
        "probability": {"description": "That the customer leaves within the horizon.", **_SHARE},
        "decision": {"description": "Whether to act: the probability reaches the threshold."},
        "risk": {"enum": list(LEVELS)},
        "confidence": {
            "description": "The probability of the likelier of the two outcomes.",
            "minimum": 0.5,
            "maximum": 1,
        },
        "recommendation": {"description": "What to do, by risk and strongest reason."},
        "model_version": {"minimum": 1},
        "variant": {"description": "Who answered.", "enum": ["champion", "challenger"]},
        "explanation": ref("Explanation"),
    },
    "Unanswered": {
        "customer_id": {"description": "As it was asked by; not there for customers without an id."},
        "error": ref("Refusal"),
    },
    "Reason": {
        "contribution": {"description": "What the column adds to the log-odds."},
        "text": {"description": "A sentence for people."},
    },
    "Fault": {},
}
"""Keywords that are added to the fields of a structure."""


def structures() -> dict[str, Schema]:
    """Schemas of the structures that requests and answers are made of."""
    kinds = [Options, Answer, Unanswered, Reason, Fault]
    _, found = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    for name, fields in SAID.items():
        properties = found[name]["properties"]
        for field, said in fields.items():
            kept = {} if "$ref" in said or "type" in said else properties[field]
            properties[field] = kept | said
        found[name]["description"] = " ".join(str(found[name]["description"]).split())
    return found


def explanation(contract: Contract) -> Schema:
    """Why a customer has the probability."""
    number: Schema = {"type": "number"}
    return {
        "title": "Explanation",
        "description": "The log-odds of the probability are `base_value` and all `contributions` together.",
        "type": "object",
        "properties": {
            "method": {
                "description": "exact: from the model itself; approximate: by sampling.",
                "enum": list(METHODS.values()),
            },
            "base_value": number,
            "contributions": {
                "type": "object",
                "properties": dict.fromkeys(contract.raw, number),
                "required": list(contract.raw),
                "additionalProperties": False,
            },
            "reasons": {"description": "The strongest first.", "type": "array", "items": ref("Reason")},
        },
        "required": ["method", "base_value", "contributions", "reasons"],
    }


def refusals(codes: list[str]) -> dict[str, Schema]:
    """Errors, as v1 and v2 have them."""
    code: Schema = {"type": "string", "enum": codes}
    details: Schema = {"description": "Every fault that was found.", "type": "array", "items": ref("Fault")}
    message: Schema = {"type": "string"}
    said = {"code": code, "message": message, "details": details}
    return {
        "Refusal": {"title": "Refusal", "type": "object", "properties": said, "required": list(said)},
        "Error": _object("Error", {"error": ref("Refusal")}, []),
        "InferenceError": _object("InferenceError", {"error": message, "code": code, "details": details}, []),
    }


def predictions() -> dict[str, Schema]:
    """Answers of v1."""
    one: Schema = {"anyOf": [ref("Answer"), ref("Unanswered")]}
    explained: Schema = {"anyOf": [{"allOf": [ref("Answer"), {"required": ["explanation"]}]}, ref("Unanswered")]}
    counts = _object("Counts", {level: {"type": "integer", "minimum": 0} for level in LEVELS}, [])
    return {
        "Predictions": _object(
            "Predictions",
            {
                "predictions": {"description": "One for each customer, in order.", "type": "array", "items": one},
                "risk": counts | {"description": "Of a batch: how many customers are at which risk."},
            },
            ["risk"],
        ),
        "Explanations": _object(
            "Explanations",
            {"explanations": {"description": "One for each customer, in order.", "type": "array", "items": explained}},
            [],
        ),
    }


def inference() -> dict[str, Schema]:
    """Answers of v2."""
    known = {**OUTPUTS, **EXPLAINED, ERROR: "BYTES"}
    flat: Schema = {"type": "array", "items": {"type": ["number", "string", "boolean", "null"]}}
    output = _object(
        "Output",
        {
            "name": {"enum": list(known)},
            "datatype": {"enum": sorted(set(known.values()))},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 2},
            "data": flat | {"description": "Row by row; null where a customer has no answer."},
            "parameters": _object(
                "",
                {
                    COLUMNS: {"type": "string", "description": "Of contributions: their columns, with commas."},
                    SIZE: {"type": "integer", "description": "Bytes behind the JSON, in the place of data."},
                },
                [COLUMNS, SIZE],
            ),
        },
        ["data", "parameters"],
    )
    counts: Schema = {f"risk_{level}": {"type": "integer", "minimum": 0} for level in LEVELS}
    answer = _object(
        "Inference",
        {
            "model_name": {"type": "string"},
            "model_version": {"type": "string", "description": "Not there where two versions share the answer."},
            "id": {"type": "string"},
            "parameters": _object("", counts, [])
            | {"description": "Of a batch: how many customers are at which risk."},
            "outputs": {"type": "array", "items": ref("Output")},
        },
        ["model_version", "parameters"],
    )
    return {"Output": output, "Inference": answer}


def _object(title: str, properties: dict[str, Any], optional: list[str]) -> Schema:
    found: Schema = {"title": title} if title else {}
    needed = [name for name in properties if name not in optional]
    return found | {"type": "object", "properties": properties, **({"required": needed} if needed else {})}
