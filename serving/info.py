"""What a model says of itself: its tensors for v2's metadata, and everything else for `/model-info`."""

from __future__ import annotations

from typing import Any

import msgspec

from churn.domain.contract import Contract
from serving.fields import CUSTOMER_ID
from serving.lineup import Lineup
from serving.outputs import OUTPUTS
from serving.version import Version

INPUTS = {"integer": "INT64", "number": "FP64", "category": "BYTES"}
"""The datatype of a column in the model's metadata; another that holds its values is as good."""


def inputs(contract: Contract) -> list[dict[str, Any]]:
    """The input tensors of a model."""
    columns = [(name, INPUTS[column.type]) for name, column in contract.columns.items()]
    return [_tensor(name, datatype) for name, datatype in [(CUSTOMER_ID, "BYTES"), *columns]]


def outputs() -> list[dict[str, Any]]:
    """The output tensors of every model."""
    return [_tensor(name, datatype) for name, datatype in OUTPUTS.items()]


def _tensor(name: str, datatype: str) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1]}


def document(model: str, lineup: Lineup) -> dict[str, Any]:
    """Who serves `model`, and what they are: versions, digests, metrics, dates, features, thresholds."""
    found: dict[str, Any] = {"model": model, "champion": _version(lineup.champion)}
    if lineup.challenger is not None:
        found |= {"challenger": _version(lineup.challenger), "share": lineup.share, "mode": lineup.mode}
    return found | {"revision": lineup.revision}


def _version(version: Version) -> dict[str, Any]:
    manifest, contract = version.bundle.manifest, version.contract
    return {
        "version": version.variant.version,
        "digest": version.bundle.digest,
        "contract": contract.digest,
        "data": manifest.data,
        "candidate": manifest.candidate,
        "estimator": manifest.estimator,
        "trained_as_of": version.trained_as_of,
        "metrics": manifest.metrics,
        "threshold": manifest.threshold,
        "risk": {"medium_from": manifest.risk[0], "high_from": manifest.risk[1]},
        "explanations": "exact" if version.explainer.exact else "approximate",
        "features": {name: _feature(contract, name) for name in contract.raw},
        "derived": {name: msgspec.to_builtins(derived) for name, derived in contract.derived.items()},
        "libraries": manifest.versions,
    }


def _feature(contract: Contract, name: str) -> dict[str, Any]:
    column = contract.columns[name]
    told = {
        "description": column.description,
        "unit": column.unit,
        "range": column.range,
        "categories": column.categories,
    }
    return {"type": column.type, "nullable": column.nullable} | {key: value for key, value in told.items() if value}
