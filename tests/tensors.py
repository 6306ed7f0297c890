"""The shop's customer as the tensors of a v2 request."""

from __future__ import annotations

from typing import Any

from tests.bundles import CUSTOMER


def tensor(name: str, datatype: str, *data: Any, shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [len(data)] if shape is None else shape, "data": list(data)}


def tensors(**changes: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The customer's tensors, with others in their places; None leaves one out."""
    kinds = {str: "BYTES", int: "INT64", float: "FP64"}
    plain = {name: tensor(name, kinds[type(value)], value) for name, value in CUSTOMER.items()} | changes
    return [one for one in plain.values() if one is not None]
