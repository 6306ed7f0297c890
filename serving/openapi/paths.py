"""The addresses that say what the server is and how it is, and its administration."""

from __future__ import annotations

from typing import Any

from serving.openapi import refusals
from serving.openapi.fields import Schema, ref
from serving.openapi.operations import JSON, Operation, answer, closed, operation, responses

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_NAMES: Schema = {"type": "array", "items": _TEXT}

_LOAD = "Serves what the traffic document says now; needs the scope `admin`. If this fails, the old model serves on."
_READY = "Not without a verified model, and not while the server leaves. The online store is not asked."


def paths(model: str) -> dict[str, Any]:
    """The addresses around `model`."""
    found = {
        "/model-info": _get("modelInfo", "What serves, and how it came about", ref("ModelInfo")),
        "/v1/models": _get("models", "The models of this server", ref("Models")),
        f"/v1/models/{model}": _probe("modelReady", "Is the model ready?", ref("ModelReady")),
        "/v2": _get("server", "What this server is", ref("Server"), inference=True),
        "/v2/models": _get("inferenceModels", "The models of this server", ref("Models"), inference=True),
        f"/v2/models/{model}": _get("metadata", "Names and datatypes of all tensors", ref("Metadata"), inference=True),
        f"/v2/models/{model}/ready": _probe(
            "inferenceModelReady", "Is the model ready?", ref("ModelReady"), inference=True
        ),
        "/v2/health/ready": _probe("ready", "Is the server ready?", _flag("ready"), inference=True)
        | {"description": _READY},
        "/v2/health/live": _probe("live", "Is the process alive?", _flag("live"), inference=True),
        "/": _probe("alive", "Is the process alive?", closed({"status": {"const": "alive"}})),
        "/metrics": _open("metrics", "Metrics for Prometheus", responses(answer(_TEXT, "text/plain"), ())),
        "/openapi.json": _get("description", "This document", {"type": "object"}),
        "/docs": _get("documentation", "The same for people", _TEXT, "text/html"),
    }
    acts = {
        f"/v2/repository/models/{model}/load": _act("load", "Read the traffic document", _LOAD),
        f"/v2/repository/models/{model}/unload": _act("unload", "Is refused", "What serves is decided by a promotion."),
    }
    return {path: {"get": one} for path, one in found.items()} | {path: {"post": one} for path, one in acts.items()}


def schemas() -> dict[str, Schema]:
    """What the server says of itself."""
    tensor = closed({"name": _TEXT, "datatype": _TEXT, "shape": {"type": "array", "items": {"type": "integer"}}})
    many: Schema = {"type": "array", "items": tensor}
    info = closed({"model": _TEXT, "champion": ref("ServingVersion"), "revision": {"type": "integer"}})
    return {
        "Models": closed({"models": _NAMES}),
        "ModelReady": closed({"name": _TEXT, "ready": {"const": True}}),
        "Server": closed({"name": _TEXT, "version": _TEXT, "extensions": _NAMES}),
        "Metadata": closed({"name": _TEXT, "inputs": many, "outputs": many}),
        "ModelInfo": info,
        "ServingVersion": _version(),
    }


def _version() -> Schema:
    parts: Schema = {"type": "object", "additionalProperties": {"type": "object"}}
    return closed(
        {
            "version": {"type": "integer", "minimum": 1},
            "digest": _TEXT | {"description": "SHA-256 of the bundle."},
            "contract": _TEXT | {"description": "SHA-256 of the contract."},
            "data": _TEXT | {"description": "SHA-256 of the table it learned from."},
            "candidate": _TEXT,
            "estimator": _TEXT,
            "trained_as_of": {"type": ["string", "null"]},
            "metrics": {"type": "object", "additionalProperties": _NUMBER},
            "threshold": _NUMBER,
            "risk": closed({"medium_from": _NUMBER, "high_from": _NUMBER}),
            "explanations": {"enum": ["exact", "approximate"]},
            "features": parts,
            "derived": parts,
            "libraries": {"type": "object", "additionalProperties": _TEXT},
        }
    )


def _get(name: str, summary: str, schema: Schema, media: str = JSON, *, inference: bool = False) -> Operation:
    tag = "description" if name in ("description", "documentation") else "model"
    return operation(name, tag, summary, responses(answer(schema, media), refusals.CLOSED, inference=inference))


def _probe(name: str, summary: str, schema: Schema, *, inference: bool = False) -> Operation:
    return _open(name, summary, responses(answer(schema), (503,), inference=inference))


def _open(name: str, summary: str, found: dict[str, Any]) -> Operation:
    return operation(name, "health", summary, found, security=[])


def _act(name: str, summary: str, said: str) -> Operation:
    loads = name == "load"
    done = answer(closed({"name": _TEXT, "load": {"const": True}})) if loads else None
    refused = (*refusals.CLOSED, 503) if loads else refusals.CLOSED
    return operation(name, "administration", summary, responses(done, refused, inference=True), description=said)


def _flag(name: str) -> Schema:
    return closed({name: {"const": True}})
