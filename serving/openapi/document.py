"""The whole description of one version of a model, as OpenAPI 3.1 has it."""

from __future__ import annotations

from typing import Any

from serving.access.caller import API_KEY
from serving.openapi import answers, paths, predictions, refusals, requests
from serving.version import Version

ANYBODY: list[dict[str, list[str]]] = [{}, {"key": []}, {"bearer": []}]
"""Whether callers must say who they are is a setting of the server."""


def document(model: str, version: Version) -> dict[str, Any]:
    """The document. The same version gives the same one."""
    contract = version.contract
    return {
        "openapi": "3.1.0",
        "info": {"title": model, "version": str(version.variant.version), "description": _said(version)},
        "servers": [{"url": "/"}],
        "security": ANYBODY,
        "tags": [{"name": name} for name in ("prediction", "model", "health", "administration", "description")],
        "paths": predictions.paths(model, version) | paths.paths(model),
        "components": {
            "schemas": _schemas(model, version)
            | answers.refusals(list(refusals.known()))
            | {"Explanation": answers.explanation(contract)},
            "responses": refusals.responses(),
            "headers": refusals.headers(),
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": API_KEY, "description": "Of `churn keys create`."},
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a JWT."},
            },
        },
    }


def _schemas(model: str, version: Version) -> dict[str, Any]:
    structures = answers.structures()
    return {
        **requests.bodies(model, version.contract, structures["Options"]),
        **structures,
        **answers.predictions(),
        **answers.inference(),
        **paths.schemas(),
    }


def _said(version: Version) -> str:
    contract = version.contract
    days = contract.target.horizon_days
    horizon = f" within {days} days" if days else ""
    return (
        f"{contract.description or 'Customers, and who of them leaves.'}\n\n"
        f"For each customer: the probability of leaving{horizon}, whether to act, the level of risk, and what to do. "
        "Customers come by id, by their fields, or by id with fresh values on top. A request is refused whole, with "
        "every fault that it has, unless `partial` is asked for."
    )
