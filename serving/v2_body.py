"""v2 over REST: JSON with or without binary tensors behind it."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from serving.answers import Answers
from serving.asked import Tensor, shown
from serving.documents import BODY, parse, shaped
from serving.errors import Fault, MalformedError
from serving.outputs import Output, outputs, parameters, refuse_unknown
from serving.v2 import Tensors, Wanted, options, refuse_too_many

LENGTH_HEADER = "inference-header-content-length"
"""Says how many bytes of the body are JSON; the rest are the binary tensors in their order."""

SIZE = "binary_data_size"


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A tensor whose values stand in `data`, or behind the JSON for `binary_data_size` bytes."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | UnsetType = UNSET


class WantedOutput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An output that is wanted."""

    name: str
    parameters: dict[str, Any] = {}


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request; KServe's own client repeats the model's name in it."""

    inputs: list[Input]
    outputs: list[WantedOutput] = []
    parameters: dict[str, Any] = {}
    id: str = ""
    model_name: str = ""


_decoder = msgspec.json.Decoder(Body)


def read(body: bytes, json_length: str | None, model: str) -> Tensors:
    """The request in a body. Raises MalformedError when JSON or binary part are not what they should be."""
    size = _size(json_length, len(body))
    head = body if size == len(body) else body[:size]
    try:
        document = _decoder.decode(head)
    except (ValueError, RecursionError):
        document = shaped(parse(head), Body)
    if document.model_name not in ("", model):
        raise MalformedError([Fault("model_name", "is not the model that is asked")])
    if not document.inputs:
        raise MalformedError([Fault("inputs", "is empty")])
    refuse_too_many(len(document.inputs))
    own, binary = options(document.parameters)
    wanted = [_wanted(output) for output in document.outputs]
    if wanted:
        refuse_unknown(wanted, own)
    return Tensors(_tensors(document.inputs, body[size:]), own, id=document.id, outputs=wanted, binary=binary)


def render(answers: Answers, asked: Tensors) -> tuple[bytes, int | None]:
    """The response's body, and how many of its bytes are JSON when others follow."""
    found, tail = [], []
    said = {one.name: one.binary for one in asked.outputs}
    for output in outputs(answers, asked):
        way = said.get(output.name, UNSET)
        document: dict[str, Any] = {"name": output.name, "shape": output.shape, "datatype": output.datatype}
        if way is True or (way is UNSET and asked.binary):
            raw = output.raw()
            document["parameters"] = {**output.parameters, SIZE: len(raw)}
            tail.append(raw)
        else:
            if output.parameters:
                document["parameters"] = output.parameters
            document["data"] = _jsonable(output) if answers.failures else output.data
        found.append(document)
    head: dict[str, Any] = {"model_name": answers.model, "id": asked.id or str(uuid.uuid4()), "outputs": found}
    if answers.one_version is not None:
        head["model_version"] = str(answers.one_version)
    if counted := parameters(answers):
        head["parameters"] = counted
    content = msgspec.json.encode(head)
    return (b"".join([content, *tail]), len(content)) if tail else (content, None)


def _jsonable(output: Output) -> list[Any]:
    """JSON has no NaN: null stands for what is not there."""
    return [None if value != value else value for value in output.data]  # noqa: PLR0124


def _wanted(given: WantedOutput) -> Wanted:
    binary = given.parameters.get("binary_data", UNSET)
    if binary is not UNSET and not isinstance(binary, bool):
        raise MalformedError(
            [Fault(f"outputs.{shown(given.name)}.parameters.binary_data", "is neither true nor false")]
        )
    return Wanted(given.name, binary)


def _size(json_length: str | None, total: int) -> int:
    if json_length is None:
        return total
    if not (json_length.isascii() and json_length.isdecimal()) or len(json_length) > 12 or int(json_length) > total:
        raise MalformedError([Fault(f"header {LENGTH_HEADER}", f"is no number of bytes up to {total}")])
    return int(json_length)


def _tensors(given: list[Input], tail: bytes) -> list[Tensor]:
    """The tensors, each with its values or its share of the bytes behind the JSON."""
    faults: list[Fault] = []
    found: list[Tensor] = []
    start = 0
    for one in given:
        if one.data is not UNSET and not one.parameters:
            found.append(Tensor(one.name, one.datatype, one.shape, one.data))
            continue
        place, size = f"inputs.{shown(one.name)}", one.parameters.get(SIZE)
        if (size is None) == (one.data is UNSET):
            faults.append(Fault(place, "has its values neither or both in 'data' and behind the JSON"))
        elif size is not None and (type(size) is not int or not 0 <= size <= len(tail) - start):
            faults.append(Fault(f"{place}.parameters.{SIZE}", "is no number of bytes that are there"))
        elif size is not None:
            found.append(Tensor(one.name, one.datatype, one.shape, None, tail[start : start + size]))
            start += size
        else:
            found.append(Tensor(one.name, one.datatype, one.shape, one.data))  # type: ignore[arg-type]
    if not faults and start != len(tail):
        faults.append(Fault(BODY, f"has {len(tail) - start} bytes more than its tensors"))
    if faults:
        raise MalformedError(faults)
    return found
