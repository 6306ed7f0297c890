"""A v2 REST body, JSON with or without binary tensors behind it, as KServe's request."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from serving.asked import shown
from serving.documents import BODY, parse, shaped
from serving.errors import Fault, MalformedError
from serving.stock import InferInput, InferRequest, RequestedOutput

LENGTH_HEADER = "inference-header-content-length"
"""Says how many bytes of the body are JSON; the rest are the binary tensors in their order."""


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor whose values stand in `data`, or behind the JSON for `binary_data_size` bytes."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | UnsetType = UNSET


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An output that is wanted."""

    name: str
    parameters: dict[str, Any] = {}


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request; KServe's own client repeats the model's name in it."""

    inputs: list[Input]
    outputs: list[Output] = []
    parameters: dict[str, Any] = {}
    id: str = ""
    model_name: str = ""


def read(body: bytes, json_length: str | None, model: str) -> InferRequest:
    """The request in a body. Raises MalformedError when JSON or binary part are not what they should be."""
    size = _size(json_length, len(body))
    document = shaped(parse(body[:size]), Body)
    if document.model_name not in ("", model):
        raise MalformedError([Fault("model_name", "is not the model that is asked")])
    return InferRequest(
        model_name=model,
        infer_inputs=[_tensor(tensor) for tensor in document.inputs],
        request_id=document.id,
        raw_inputs=_raw(document.inputs, body[size:]),
        parameters=document.parameters,
        request_outputs=[RequestedOutput(output.name, output.parameters) for output in document.outputs],
    )


def _tensor(given: Input) -> InferInput:
    data = None if given.data is UNSET else given.data
    return InferInput(given.name, given.shape, given.datatype, data, given.parameters)


def _size(json_length: str | None, total: int) -> int:
    if json_length is None:
        return total
    if not json_length.isdecimal() or int(json_length) > total:
        raise MalformedError([Fault(f"header {LENGTH_HEADER}", f"is no number of bytes up to {total}")])
    return int(json_length)


def _raw(tensors: list[Input], tail: bytes) -> list[bytes | None]:
    """The bytes of each tensor, None for one whose values stand in the JSON."""
    faults: list[Fault] = []
    found: list[bytes | None] = []
    start = 0
    for tensor in tensors:
        place, size = f"inputs.{shown(tensor.name)}", tensor.parameters.get("binary_data_size")
        if (size is None) == (tensor.data is UNSET):
            faults.append(Fault(place, "has its values neither or both in 'data' and behind the JSON"))
        elif size is not None and (type(size) is not int or not 0 <= size <= len(tail) - start):
            faults.append(Fault(f"{place}.parameters.binary_data_size", "is no number of bytes that are there"))
        elif size is not None:
            found.append(tail[start : start + size])
            start += size
        else:
            found.append(None)
    if not faults and start != len(tail):
        faults.append(Fault(BODY, f"has {len(tail) - start} bytes more than its tensors"))
    if faults:
        raise MalformedError(faults)
    return found
