"""Requests that this very model answers, made of the rows in its bundle."""

from __future__ import annotations

from typing import Any

import msgspec

from churn.domain import bundle as bundles
from churn.domain.contract import Column, Contract
from serving.fields import CUSTOMER_ID, id_names
from serving.info import INPUTS
from serving.openapi.fields import needed_without_id
from serving.version import Version

Customer = dict[str, Any]
Examples = dict[str, dict[str, Any]]

ID = "4711"
"""A customer who need not exist: all fields come with the request."""


def customers(version: Version) -> list[Customer]:
    """Customers by their fields: at least two."""
    content = (version.bundle.folder / "example.json").read_bytes()
    rows = msgspec.json.decode(content, type=bundles.Example).columns
    found = [_customer(version.contract, row) for row in rows]
    return found if len(found) > 1 else found * 2


def predictions(version: Version) -> Examples:
    """Bodies of v1."""
    one, other, *_ = customers(version)
    by_id = {id_name(version.contract): key(version.contract), **one}
    return {
        "one": _example("One customer by features", {"instances": [one]}),
        "batch": _example(
            "Two, at a threshold of the caller's", {"instances": [one, other], "parameters": {"threshold": 0.5}}
        ),
        "identified": _example(
            "By id, here with all values; those that are left out are looked up", {"instances": [by_id]}
        ),
        "explained": _example("With reasons", {"instances": [one], "parameters": {"explain": True, "top": 2}}),
        "partial": _example(
            "What can be answered is, also beside a customer with a fault",
            {"instances": [one, incomplete(version.contract, other)], "parameters": {"partial": True}},
        ),
    }


def explanations(version: Version) -> Examples:
    """Bodies of v1's `:explain`."""
    one, other, *_ = customers(version)
    return {
        "one": _example("One customer by features", {"instances": [one]}),
        "batch": _example("Two, with one reason each in words", {"instances": [one, other], "parameters": {"top": 1}}),
    }


def inferences(version: Version) -> Examples:
    """Bodies of v2."""
    contract, (one, other, *_) = version.contract, customers(version)
    wanted = [{"name": "probability"}, {"name": "risk"}]
    return {
        "one": _example("One customer by features", {"inputs": tensors(contract, [one])}),
        "batch": _example("Two, two outputs of them", {"inputs": tensors(contract, [one, other]), "outputs": wanted}),
        "explained": _example(
            "With reasons", {"id": "42", "inputs": tensors(contract, [one]), "parameters": {"explain": True, "top": 2}}
        ),
    }


def tensors(contract: Contract, rows: list[Customer]) -> list[dict[str, Any]]:
    """Customers as v2 has them: one tensor for each field."""
    return [
        {
            "name": name,
            "datatype": INPUTS[contract.columns[name].type],
            "shape": [len(rows)],
            "data": [row[name] for row in rows],
        }
        for name in rows[0]
    ]


def incomplete(contract: Contract, customer: Customer) -> Customer:
    """A customer who lacks something, where anything is required."""
    lacking = needed_without_id(contract)[:1]
    return {name: value for name, value in customer.items() if name not in lacking}


def id_name(contract: Contract) -> str:
    """What examples call the customer's id."""
    return CUSTOMER_ID if CUSTOMER_ID in id_names(contract) else id_names(contract)[0]


def key(contract: Contract) -> str | int:
    """An id of the right type."""
    return int(ID) if contract.key and contract.key.type == "integer" else ID


def _example(summary: str, value: Any) -> dict[str, Any]:
    return {"summary": summary, "value": value}


def _customer(contract: Contract, row: list[float | None]) -> Customer:
    named = zip(contract.columns.items(), row, strict=True)
    return {name: None if value is None else _value(column, value) for (name, column), value in named}


def _value(column: Column, value: float) -> Any:
    if column.categories:
        return column.categories[int(value)]
    if column.type == "integer":
        return int(value)
    low, high = column.range or (None, None)
    short = round(value, 2)
    return short if (low is None or low <= short) and (high is None or short <= high) else value
