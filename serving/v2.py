"""The v2 (open inference) protocol: one input tensor for each column or the id, one output tensor for each answer."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from churn.domain.contract import Contract
from churn.domain.formula import nearest
from serving.answers import Answer
from serving.asked import Asked, shown
from serving.checking import CUSTOMER_ID
from serving.errors import Fault, InvalidValuesError, MalformedError
from serving.stock import InferInput, InferOutput, InferRequest, InferResponse, RequestedOutput

INPUTS = {"integer": "INT64", "number": "FP64", "category": "BYTES"}
"""The datatype of a column in the model's metadata; another that holds its values is as good."""

OUTPUTS = {
    CUSTOMER_ID: "BYTES",
    "probability": "FP64",
    "decision": "BOOL",
    "risk": "BYTES",
    "confidence": "FP64",
    "recommendation": "BYTES",
    "model_name": "BYTES",
    "model_version": "INT64",
}

_INTEGERS = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
_HOLDS: dict[str, tuple[type, ...]] = {
    "BOOL": (bool,),
    **dict.fromkeys(_INTEGERS, (int,)),
    **dict.fromkeys(("FP16", "FP32", "FP64"), (int, float)),
    "BYTES": (str, bytes),
}


class Tensors(Asked):
    """Customers as columns: all of them have the same fields."""

    def __init__(self, count: int, values: dict[str, list[object]], request: InferRequest) -> None:
        super().__init__(count, values)
        self._request = request

    def cell(self, row: int, name: str) -> str:
        return f"inputs.{shown(name)}[{row}]"

    def customer(self, row: int) -> str:
        return f"inputs.*[{row}]"

    def places(self, name: str, _rows: Sequence[int]) -> list[str]:
        return [f"inputs.{shown(name)}"]

    def render(self, answers: Sequence[Answer]) -> InferResponse:
        request = self._request
        identified = any(answer.customer_id is not UNSET for answer in answers)
        names = [output.name for output in request.request_outputs or ()] or list(OUTPUTS)
        outputs = [_output(name, answers) for name in names if name != CUSTOMER_ID or identified]
        return InferResponse(
            response_id=request.id or str(uuid.uuid4()),
            model_name=request.model_name,
            model_version=str(answers[0].model_version),
            infer_outputs=outputs,
            from_grpc=request.from_grpc,
            use_binary_outputs=request.use_binary_outputs,
            requested_outputs=_encodings(request, outputs),
        )


def decode(request: InferRequest) -> Tensors:
    """The customers in a request. Raises MalformedError for tensors that do not fit each other, or their own shapes."""
    if not request.inputs:
        raise MalformedError([Fault("inputs", "is empty")])
    faults = [fault for tensor in request.inputs for fault in _misshapen(tensor)]
    faults += _repeated([tensor.name for tensor in request.inputs])
    faults += _unknown_outputs(request)
    if faults:
        raise MalformedError(faults)
    values = {tensor.name: _values(tensor) for tensor in request.inputs}
    first, *others = values
    ragged = [name for name in others if len(values[name]) != len(values[first])]
    if ragged:
        problem = f"has not as many values as {shown(first)}"
        raise MalformedError([Fault(f"inputs.{shown(name)}", problem) for name in ragged])
    if not values[first]:
        raise MalformedError([Fault("inputs", "holds no customer")])
    _refuse_other_types(request, values)
    return Tensors(len(values[first]), values, request)


def inputs(contract: Contract) -> list[dict[str, Any]]:
    """The input tensors of a model, for its metadata."""
    columns = [(name, INPUTS[column.type]) for name, column in contract.columns.items()]
    return [_tensor(name, datatype) for name, datatype in [(CUSTOMER_ID, "BYTES"), *columns]]


def outputs() -> list[dict[str, Any]]:
    """The output tensors of every model, for its metadata."""
    return [_tensor(name, datatype) for name, datatype in OUTPUTS.items()]


def _tensor(name: str, datatype: str) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1]}


def _misshapen(tensor: InferInput) -> list[Fault]:
    place, shape = f"inputs.{shown(tensor.name)}", tensor.shape
    faults = []
    if tensor.datatype not in _HOLDS:
        faults.append(Fault(f"{place}.datatype", f"is none of {', '.join(_HOLDS)}"))
    if len(shape) not in (1, 2) or shape[0] < 0 or shape[1:] not in ([], [1]):
        faults.append(Fault(f"{place}.shape", "is neither [n] nor [n, 1]"))
    return faults


def _repeated(tensors: Sequence[str]) -> list[Fault]:
    twice = dict.fromkeys(name for name in tensors if tensors.count(name) > 1)
    return [Fault(f"inputs.{shown(name)}", "stands twice") for name in twice]


def _unknown_outputs(request: InferRequest) -> list[Fault]:
    asked = [output.name for output in request.request_outputs or ()]
    unknown = [name for name in asked if name not in OUTPUTS]
    return [Fault(f"outputs.{shown(name)}", f"is no output; {nearest(shown(name), list(OUTPUTS))}") for name in unknown]


def _values(tensor: InferInput) -> list[object]:
    """The tensor's values in order; None where JSON has null."""
    values = tensor.data or _from_bytes(tensor)
    if tensor.shape[1:]:
        values = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in values]
    if len(values) != tensor.shape[0]:
        problem = f"has {len(values)} values where its shape says {tensor.shape[0]}"
        raise MalformedError([Fault(f"inputs.{shown(tensor.name)}", problem)])
    return list(values)


def _from_bytes(tensor: InferInput) -> list[object]:
    try:
        values: list[object] = tensor.as_numpy().reshape(-1).tolist()
    except (ValueError, struct.error) as error:
        problem = "does not hold what its shape and datatype say"
        raise MalformedError([Fault(f"inputs.{shown(tensor.name)}", problem)]) from error
    return values


def _refuse_other_types(request: InferRequest, values: dict[str, list[object]]) -> None:
    """Raises InvalidValuesError for values that are not of their tensor's datatype; turns bytes into text."""
    faults = []
    for tensor in request.inputs:
        kinds = _HOLDS[tensor.datatype]
        for row, value in enumerate(values[tensor.name]):
            place = f"inputs.{shown(tensor.name)}[{row}]"
            if value is None:
                continue
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                faults.append(Fault(place, f"is not {tensor.datatype}"))
            elif isinstance(value, bytes):
                try:
                    values[tensor.name][row] = value.decode()
                except UnicodeDecodeError:
                    faults.append(Fault(place, "is not UTF-8"))
    if faults:
        raise InvalidValuesError(faults)


def _output(name: str, answers: Sequence[Answer]) -> InferOutput:
    data = [getattr(answer, name) for answer in answers]
    if OUTPUTS[name] == "BYTES":
        data = [str(value) for value in data]
    return InferOutput(name=name, shape=[len(data)], datatype=OUTPUTS[name], data=data)


def _encodings(request: InferRequest, outputs: Sequence[InferOutput]) -> list[RequestedOutput] | None:
    """Which outputs go as bytes: those that say so, and otherwise all or none, as the request says."""
    if not request.request_outputs:
        return None
    said = {output.name: output.binary_data for output in request.request_outputs}
    binary = {name: request.use_binary_outputs if way is None else way for name, way in said.items()}
    return [RequestedOutput(output.name, {"binary_data": binary[output.name]}) for output in outputs]
