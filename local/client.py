"""A client for people: the same question over HTTP and over gRPC."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx

from churn.domain.errors import UserError

KEY = "CHURN_API_KEY"


def read_instances(path: Path) -> list[dict[str, Any]]:
    """The instances in a JSON file: one object, a list of them, or a v1 request. Raises UserError for anything else."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError("cannot be read", where=str(path), remedy=error.strerror or "") from error
    except ValueError as error:
        raise UserError(f"is not JSON: {error}", where=str(path)) from error
    if isinstance(document, dict):
        document = document.get("instances", [document])
    if not isinstance(document, list) or not all(isinstance(one, dict) for one in document) or not document:
        raise UserError("holds no instances", where=str(path), remedy='like [{"customer_id": "..."}]')
    return document


def predict_http(
    url: str, model: str, instances: list[dict[str, Any]], *, explain: bool = False
) -> list[dict[str, Any]]:
    """Predictions over v1, with their reasons where they are asked for; with the key in CHURN_API_KEY, if there is one.

    Raises UserError with the predictor's own words when it refuses, or is not there."""
    if not url.startswith(("http://", "https://")):
        raise UserError(f"'{url}' is no address", where="--url", remedy=f"like http://{url}")
    try:
        answer = httpx.post(
            f"{url.rstrip('/')}/v1/models/{model}:predict",
            json={"instances": instances, "parameters": {"explain": explain}},
            headers={"x-api-key": key} if (key := os.environ.get(KEY)) else {},
            timeout=30,
        )
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise UserError("nothing answers", where=url, remedy="start the predictor: churn serve") from error
    if answer.is_success:
        predictions: list[dict[str, Any]] = answer.json()["predictions"]
        return predictions
    raise UserError(_refusal(answer), where=url)


def predict_grpc(address: str, model: str, customer_id: str) -> dict[str, Any]:
    """The prediction for one customer over v2 gRPC, as one object."""
    import grpc
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
    from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

    ids = pb.ModelInferRequest.InferInputTensor(name="customer_id", datatype="BYTES", shape=[1])
    ids.contents.bytes_contents.append(customer_id.encode())
    with grpc.insecure_channel(address) as channel:
        answer = GRPCInferenceServiceStub(channel).ModelInfer(
            pb.ModelInferRequest(model_name=model, inputs=[ids]), timeout=30
        )
    return {output.name: _first(output.contents) for output in answer.outputs}


def _first(contents: Any) -> Any:
    """The one value of a tensor, whichever of the typed lists holds it."""
    for _, values in contents.ListFields():
        return values[0].decode() if isinstance(values[0], bytes) else values[0]
    return None


def _refusal(answer: httpx.Response) -> str:
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError):
        return f"answered {answer.status_code}"
    if isinstance(error, str):
        return error
    details = "; ".join(f"{one['path']} {one['problem']}" for one in error.get("details", []))
    return details or str(error["message"])
