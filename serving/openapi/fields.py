"""What a request may hold, as JSON Schema, from the contract: what the check accepts is valid, and nothing else is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from churn.domain.contract import Column, Contract
from churn.domain.parsing import EXACT
from churn.domain.rules import LARGEST
from serving.asked import RANGES
from serving.fields import id_names, required

Schema = dict[str, Any]

FLOATS = ("FP64", "FP32", "FP16")
_WHOLE = ("INT64", *(name for name in RANGES if name != "INT64"))
_MOST_ID = 2**63 - 1


def ref(name: str) -> Schema:
    """A pointer to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def column(contract: Contract, name: str) -> Schema:
    """One value of a column."""
    it = contract.columns[name]
    said: Schema = {"title": contract.label(name)}
    if words := "; ".join(word for word in (it.description, it.unit and f"in {it.unit}") if word):
        said["description"] = words
    if it.unit:
        said["x-unit"] = it.unit
    return said | (_category(contract, it) if it.type == "category" else _number(it))


def key(contract: Contract) -> Schema:
    """A customer's id."""
    said: Schema = {"title": "Customer id", "description": "A customer whom the online store knows."}
    if contract.key and contract.key.type == "integer":
        digits = {"type": "string", "pattern": "^[+-]?[0-9]{1,18}$"}
        return said | {"anyOf": [{"type": "integer", "minimum": -_MOST_ID, "maximum": _MOST_ID}, digits]}
    text = {"type": "string", "pattern": r"\S", "not": {"enum": _words(contract)}}
    return said | {"anyOf": [text, {"type": "integer"}]}


def customer(contract: Contract) -> Schema:
    """One customer of a v1 request."""
    ids = id_names(contract)
    found: Schema = {
        "title": "Customer",
        "description": "By id, by all fields that are required, or by id with fresh values for some of the fields. "
        "A field that may be null may be left out.",
        "type": "object",
        "properties": {name: ref("CustomerId") for name in ids}
        | {name: column(contract, name) for name in contract.raw},
        "additionalProperties": False,
    }
    if needed := needed_without_id(contract):
        found["anyOf"] = [{"required": [name]} for name in ids] + [{"required": needed}]
    if len(ids) > 1:
        found["not"] = {"required": ids}
    return found


def needed_without_id(contract: Contract) -> list[str]:
    """The fields of a customer who has no id."""
    return [name for name, it in contract.columns.items() if required(it)]


def tensors(contract: Contract) -> list[Schema]:
    """The input tensors of a v2 request, one for each field."""
    found = [_tensor(name, ref("CustomerId"), ("BYTES", *_WHOLE)) for name in id_names(contract)]
    for name, it in contract.columns.items():
        found.append(_tensor(name, column(contract, name), datatypes(it)))
    return found


def datatypes(it: Column) -> tuple[str, ...]:
    """The datatypes that hold values of a column, the usual one first."""
    if it.type == "category":
        kinds = set(map(type, _spellings(it)))
        return ("BYTES", *(_WHOLE if int in kinds else ()), *(("BOOL",) if bool in kinds else ()))
    return (*_WHOLE, *FLOATS) if it.type == "integer" else (*FLOATS, *_WHOLE)


def spelled(column: Column) -> dict[str, str]:
    """Other texts that mean a category, and which one, as training reads them."""
    return {
        text: meant
        for text, meant in column.cleaning.spelling.items()
        if text == text.strip() and meant in column.categories
    }


def _tensor(name: str, value: Schema, datatypes: Sequence[str]) -> Schema:
    single = {"type": "array", "items": value, "minItems": 1, "maxItems": 1}
    return {
        "title": name,
        "type": "object",
        "properties": {
            "name": {"const": name},
            "datatype": {"type": "string", "enum": list(datatypes)},
            "shape": ref("Shape"),
            "data": {
                "description": "As many as the shape says; each in a list of its own if the shape is [n, 1].",
                "type": "array",
                "items": {"anyOf": [value, single]},
                "minItems": 1,
            },
            "parameters": {"type": "object", "propertyNames": {"not": {"const": "binary_data_size"}}},
        },
        "required": ["name", "datatype", "shape", "data"],
        "additionalProperties": False,
    }


def _number(it: Column) -> Schema:
    low, high = it.range or (None, None)
    most = EXACT if it.type == "integer" else LARGEST
    return {
        "type": it.type if required(it) else [it.type, "null"],
        "minimum": _plain(-most if low is None else max(-most, low)),
        "maximum": _plain(most if high is None else min(most, high)),
    }


def _category(contract: Contract, it: Column) -> Schema:
    """The categories; then other spellings of them, and of null where there may be one."""
    labels = [
        label for label in it.categories if label == label.strip() and it.cleaning.spelling.get(label, label) == label
    ]
    others = [value for value in _spellings(it) if value not in labels or isinstance(value, bool)]
    ways: list[Schema] = [{"type": "string", "enum": labels}] if labels else []
    if others:
        ways.append({"description": "Other spellings.", "enum": others})
    if not required(it):
        ways.append({"description": "Not known.", "enum": [None, *_unknown(contract, it)]})
    return ways[0] if len(ways) == 1 else {"anyOf": ways}


def _spellings(it: Column) -> list[str | int]:
    """All values that mean a category: whole numbers and booleans are read as a table would spell them."""
    meant = {label: label for label in it.categories} | it.cleaning.spelling
    texts = [text for text, label in meant.items() if text == text.strip() and label in it.categories]
    numbers = [int(text) for text in texts if _whole(text)]
    booleans = [value for value in (True, False) if str(value).lower() in texts]
    return [*texts, *numbers, *booleans]


def _whole(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdecimal() and len(digits) <= 18 and str(int(text)) == text


def _unknown(contract: Contract, it: Column) -> list[str]:
    """Words for null, as training reads them."""
    return [word for word in _words(contract) if word not in {*it.categories, *it.cleaning.spelling}]


def _words(contract: Contract) -> list[str]:
    return list(contract.validation.missing)


def _plain(number: float) -> int | float:
    return int(number) if abs(number) <= EXACT and float(number).is_integer() else number
