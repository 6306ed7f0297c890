"""v2 over gRPC: the protocol's messages, with typed or raw contents."""

from __future__ import annotations

import uuid
from typing import Any

from serving.answers import Answers
from serving.asked import PLAIN_OPTIONS, Tensor, shown
from serving.errors import Fault, MalformedError
from serving.outputs import Output, outputs, parameters, refuse_unknown
from serving.stock import pb
from serving.v2 import Tensors, Wanted, options, refuse_too_many

_CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def read(message: Any) -> Tensors:
    """The request in a message. Raises MalformedError for raw contents that fit no inputs."""
    refuse_too_many(len(message.inputs))
    raw = message.raw_input_contents
    if raw:
        if len(raw) != len(message.inputs):
            problem = f"has {len(raw)} parts for {len(message.inputs)} inputs"
            raise MalformedError([Fault("raw_input_contents", problem)])
        tensors = [_raw(one, content) for one, content in zip(message.inputs, raw, strict=True)]
    else:
        tensors = [Tensor(one.name, one.datatype, one.shape, _values(one)) for one in message.inputs]
    if not tensors:
        raise MalformedError([Fault("inputs", "is empty")])
    own, binary = PLAIN_OPTIONS, bool(raw)
    if message.parameters:
        own, asked_binary = options({name: _parameter(name, value) for name, value in message.parameters.items()})
        binary = binary or asked_binary
    wanted = [Wanted(one.name) for one in message.outputs]
    if wanted:
        refuse_unknown(wanted, own)
    return Tensors(tensors, own, id=message.id, outputs=wanted, binary=binary)


def render(answers: Answers, asked: Tensors) -> Any:
    """The response: raw contents to those who send them, or ask for them."""
    response = pb.ModelInferResponse(model_name=answers.model, id=asked.id or str(uuid.uuid4()))
    if answers.one_version is not None:
        response.model_version = str(answers.one_version)
    for name, count in parameters(answers).items():
        response.parameters[name].int64_param = count
    for output in outputs(answers, asked):
        tensor = response.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        for name, value in output.parameters.items():
            tensor.parameters[name].string_param = value
        if asked.binary:
            response.raw_output_contents.append(output.raw())
        else:
            _put(tensor, output)
    return response


def _put(tensor: Any, output: Output) -> None:
    data = [value.encode() for value in output.data] if output.datatype == "BYTES" else output.data
    getattr(tensor.contents, _CONTENTS[output.datatype]).extend(data)


def _raw(one: Any, content: bytes) -> Tensor:
    if one.HasField("contents"):
        problem = "has its values both in contents and in raw_input_contents"
        raise MalformedError([Fault(f"inputs.{shown(one.name)}", problem)])
    return Tensor(one.name, one.datatype, one.shape, None, content)


def _values(one: Any) -> list[Any]:
    name = _CONTENTS.get(one.datatype)
    if name is None:
        problem = f"has a datatype without typed contents; is none of {', '.join(_CONTENTS)}, or send raw contents"
        raise MalformedError([Fault(f"inputs.{shown(one.name)}.datatype", problem)])
    contents = one.contents
    values = list(getattr(contents, name))
    if len(contents.ListFields()) > bool(values):
        problem = f"has values in other contents than {name}"
        raise MalformedError([Fault(f"inputs.{shown(one.name)}", problem)])
    if one.datatype != "BYTES":
        return values
    try:
        return [value.decode() for value in values]
    except UnicodeDecodeError as error:
        raise MalformedError([Fault(f"inputs.{shown(one.name)}", "is not UTF-8")]) from error


def _parameter(name: str, given: Any) -> Any:
    """The protocol's messages have no fractions: a threshold comes as text."""
    kind = given.WhichOneof("parameter_choice")
    value = None if kind is None else getattr(given, kind)
    if name != "threshold" or not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value
