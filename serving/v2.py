"""The v2 (open inference) protocol: one input tensor for each column or the id, as JSON, as bytes, or over gRPC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from churn.domain.formula import nearest
from serving.asked import PLAIN_OPTIONS, RANGES, WIDTHS, Asked, Misfit, Options, Tensor, shown
from serving.documents import shaped
from serving.errors import Fault, MalformedError
from serving.plain import Columns, Plain

_HOLDS: dict[str, tuple[type, ...]] = {
    "BOOL": (bool,),
    **dict.fromkeys(RANGES, (int,)),
    **dict.fromkeys(("FP16", "FP32", "FP64"), (int, float)),
    "BYTES": (str,),
}

BINARY_OUTPUT = "binary_data_output"
"""The parameter of a request that asks for all outputs as bytes; `binary_data`, of one output, for that one."""


class Wanted(msgspec.Struct, frozen=True):
    """An output that is asked for; `binary` where the request says how."""

    name: str
    binary: bool | UnsetType = UNSET


class Tensors(Asked):
    """Customers as columns: all of them have the same fields."""

    columnar = True

    def __init__(
        self,
        tensors: Sequence[Tensor],
        options: Options = PLAIN_OPTIONS,
        *,
        id: str = "",  # noqa: A002 - the protocol's word
        outputs: Sequence[Wanted] = (),
        binary: bool = False,
    ) -> None:
        self.tensors, self.options, self.id, self.outputs, self.binary = tensors, options, id, outputs, binary
        self.count = tensors[0].shape[0] if tensors and tensors[0].shape else 0

    @cached_property
    def values(self) -> Mapping[str, Sequence[object]]:
        """The customers' values by field, a `Misfit` for one that is not of its tensor's datatype.

        Raises MalformedError for tensors that fit neither each other nor their own shapes."""
        if not self.tensors:
            raise MalformedError([Fault("inputs", "is empty")])
        faults = [fault for tensor in self.tensors for fault in _misshapen(tensor)]
        faults += _repeated([tensor.name for tensor in self.tensors])
        if faults:
            raise MalformedError(faults)
        for tensor in self.tensors:
            if tensor.data is not None and len(tensor.data) != tensor.shape[0]:
                raise _short(tensor, len(tensor.data))
        ragged = [tensor.name for tensor in self.tensors if tensor.shape[0] != self.count]
        if ragged:
            problem = f"has not as many values as {shown(self.tensors[0].name)}"
            raise MalformedError([Fault(f"inputs.{shown(name)}", problem) for name in ragged])
        if not self.count:
            raise MalformedError([Fault("inputs", "holds no customer")])
        return {tensor.name: _fitting(tensor.datatype, _values(tensor)) for tensor in self.tensors}

    def _read(self, readers: Plain) -> Columns | None:
        """All at once."""
        count = self.count
        for tensor in self.tensors:
            shape = tensor.shape
            if not shape or shape[0] != count or (len(shape) > 1 and (len(shape) > 2 or shape[1] != 1)):
                return None
        return readers.tensors(self.tensors, count) if count > 0 else None

    def cell(self, row: int, name: str) -> str:
        """`inputs.tenure[3]`."""
        return f"inputs.{shown(name)}[{row}]"

    def field(self, name: str) -> str:
        """`inputs.tenure`."""
        return f"inputs.{shown(name)}"

    def customer(self, row: int) -> str:
        """`inputs.*[3]`."""
        return f"inputs.*[{row}]"


MOST_TENSORS = 2000


def refuse_too_many(count: int) -> None:
    """Raises MalformedError for more inputs than any model has."""
    if count > MOST_TENSORS:
        raise MalformedError([Fault("inputs", f"has {count} tensors, more than {MOST_TENSORS}")])


def options(parameters: Mapping[str, Any]) -> tuple[Options, bool]:
    """What a request's parameters say: the options, and whether all outputs are wanted as bytes.

    Raises MalformedError for a parameter that is none, or whose value cannot be."""
    if not parameters:
        return PLAIN_OPTIONS, False
    binary = parameters.get(BINARY_OUTPUT, False)
    if not isinstance(binary, bool):
        raise MalformedError([Fault(f"parameters.{BINARY_OUTPUT}", "is neither true nor false")])
    own = {name: value for name, value in parameters.items() if name != BINARY_OUTPUT}
    known = [*Options.__struct_fields__, BINARY_OUTPUT]
    for name in own:
        if name not in known:
            raise MalformedError(
                [Fault(f"parameters.{shown(name)}", f"is no parameter; {nearest(shown(name), known)}")]
            )
    return shaped(own, Options, "parameters") if own else PLAIN_OPTIONS, binary


def _misshapen(tensor: Tensor) -> list[Fault]:
    place, shape = f"inputs.{shown(tensor.name)}", list(tensor.shape)
    faults = []
    if tensor.datatype not in _HOLDS:
        faults.append(Fault(f"{place}.datatype", f"is none of {', '.join(_HOLDS)}"))
    if len(shape) not in (1, 2) or shape[0] < 0 or shape[1:] not in ([], [1]):
        faults.append(Fault(f"{place}.shape", "is neither [n] nor [n, 1]"))
    return faults


def _repeated(tensors: Sequence[str]) -> list[Fault]:
    seen: set[str] = set()
    twice = dict.fromkeys(name for name in tensors if name in seen or seen.add(name))  # type: ignore[func-returns-value]
    return [Fault(f"inputs.{shown(name)}", "stands twice") for name in twice]


def _values(tensor: Tensor) -> list[object]:
    """The tensor's values in order; None where JSON has null."""
    place = f"inputs.{shown(tensor.name)}"
    values = tensor.listed(tensor.shape[0])
    if values is None:
        raise MalformedError([Fault(place, "does not hold what its shape and datatype say")])
    if tensor.shape[1:]:
        values = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in values]
    if len(values) != tensor.shape[0]:
        raise _short(tensor, len(values))
    return list(values)


def _short(tensor: Tensor, count: int) -> MalformedError:
    problem = f"has {count} values where its shape says {tensor.shape[0]}"
    return MalformedError([Fault(f"inputs.{shown(tensor.name)}", problem)])


def _fitting(datatype: str, values: Sequence[object]) -> list[object]:
    return [value if value is None or _is(datatype, value) else Misfit(datatype) for value in values]


def _is(datatype: str, value: object) -> bool:
    if not isinstance(value, _HOLDS[datatype]) or (isinstance(value, bool) and datatype != "BOOL"):
        return False
    if isinstance(value, int) and datatype in RANGES:
        low, high = RANGES[datatype]
        return bool(low <= value <= high)
    return True


assert set(WIDTHS) | {"BYTES"} == set(_HOLDS)
