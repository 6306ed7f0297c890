"""Answers as v2's named output tensors: the same, whether they go as JSON, as bytes or over gRPC."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec import UNSET

from churn.domain.formula import nearest
from serving.answers import NAN, Answers, Explanation
from serving.asked import Options, shown
from serving.errors import Fault, MalformedError
from serving.fields import CUSTOMER_ID
from serving.v1 import METHODS
from serving.v2 import Tensors, Wanted

OUTPUTS = {
    CUSTOMER_ID: "BYTES",
    "probability": "FP64",
    "decision": "BOOL",
    "risk": "BYTES",
    "confidence": "FP64",
    "recommendation": "BYTES",
    "model_name": "BYTES",
    "model_version": "INT64",
    "variant": "BYTES",
}
"""What every answer has; the id only of customers who were asked about by it."""

EXPLAINED = {
    "base_value": "FP64",
    "contributions": "FP64",
    "reasons": "BYTES",
    "reason_columns": "BYTES",
    "method": "BYTES",
}
"""What comes with `explain`: `contributions` (n, k) by the contract's columns, the strongest `reasons` (n, top) in
words, and their columns."""

ERROR = "error"
"""What comes with `partial`: why a customer has no answer; empty for those who have one."""

COLUMNS = "columns"
"""The parameter of `contributions` that names its columns, with commas."""


@dataclass(slots=True)
class Output:
    """A tensor of an answer: `data` in rows, flat."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any]
    parameters: dict[str, Any] = field(default_factory=dict)

    def raw(self) -> bytes:
        """The values as the protocol's binary extension has them."""
        if self.datatype == "BYTES":
            return framed(self.data)
        return np.array(self.data, _DTYPES[self.datatype]).tobytes()


_DTYPES = {"FP64": "<f8", "INT64": "<i8", "BOOL": "?"}
_LENGTH = struct.Struct("<I").pack


def framed(texts: Sequence[str]) -> bytes:
    """Texts behind their lengths; the different ones, which are few, are encoded once each."""
    if texts and texts.count(texts[0]) == len(texts):
        return _framed(texts[0]) * len(texts)
    encoded = {text: _framed(text) for text in set(texts)}
    return b"".join([encoded[text] for text in texts])


def _framed(text: str) -> bytes:
    content = text.encode()
    return _LENGTH(len(content)) + content


_MAKE: dict[str, Callable[[Answers], list[Any]]] = {
    CUSTOMER_ID: lambda answers: ["" if key is UNSET else str(key) for key in answers.ids or ()],
    "probability": lambda answers: answers.probability,
    "decision": lambda answers: answers.decision,
    "risk": lambda answers: answers.risk,
    "confidence": lambda answers: answers.confidence,
    "recommendation": lambda answers: answers.recommendation,
    "model_name": lambda answers: [answers.model] * answers.count,
    "model_version": lambda answers: answers.version,
    "variant": lambda answers: answers.variant,
}


def refuse_unknown(wanted: Sequence[Wanted], options: Options) -> None:
    """Raises MalformedError for outputs that no answer has, or none to a request with these options."""
    there = [*OUTPUTS, *(EXPLAINED if options.explain else ()), *([ERROR] if options.partial else ())]
    unknown = [one.name for one in wanted if one.name not in there]
    if unknown:
        raise MalformedError([Fault(f"outputs.{shown(name)}", _why_not(name, there)) for name in unknown])


def _why_not(name: str, there: Sequence[str]) -> str:
    if name in EXPLAINED:
        return "comes with the parameter 'explain' alone"
    if name == ERROR:
        return "comes with the parameter 'partial' alone"
    return f"is no output; {nearest(shown(name), list(there))}"


def outputs(answers: Answers, asked: Tensors) -> list[Output]:
    """The tensors that a request wants, in its order; all there are by default."""
    identified = answers.ids is not None and any(key is not UNSET for key in answers.ids)
    there = [name for name in OUTPUTS if identified or name != CUSTOMER_ID]
    if answers.explanations is not None:
        there += EXPLAINED
    if asked.options.partial:
        there.append(ERROR)
    names = [one.name for one in asked.outputs if one.name in there] if asked.outputs else there
    return [_output(name, answers, int(asked.options.top)) for name in names]


def parameters(answers: Answers) -> dict[str, Any]:
    """How many customers of a batch are at which risk."""
    if answers.count == 1:
        return {}
    return {f"risk_{level}": count for level, count in answers.counts().items()}


def _output(name: str, answers: Answers, top: int) -> Output:
    if name in _MAKE:
        return Output(name, OUTPUTS[name], [answers.count], _MAKE[name](answers))
    if name == ERROR:
        texts = [answers.error(row)["message"] if row in answers.failures else "" for row in range(answers.count)]
        return Output(name, "BYTES", [answers.count], texts)
    return _explained(name, answers.explanations or [], top)


def _explained(name: str, given: Sequence[Explanation | None], top: int) -> Output:
    columns = list(dict.fromkeys(column for one in given if one for column in one.contributions))
    count, kind = len(given), EXPLAINED[name]
    match name:
        case "base_value":
            return Output(name, kind, [count], [one.base if one else NAN for one in given])
        case "method":
            return Output(name, kind, [count], [METHODS[one.exact] if one else "" for one in given])
        case "contributions":
            contributions = [
                one.contributions if one else {} for one in given
            ]  # versions may have columns of their own
            flat = [one.get(column, NAN) for one in contributions for column in columns]
            return Output(name, kind, [count, len(columns)], flat, {COLUMNS: ",".join(columns)})
    width = min(top, len(columns))
    flat_texts: list[str] = []
    for one in given:
        told = [reason.text if name == "reasons" else reason.column for reason in one.reasons] if one else []
        flat_texts += [*told, *[""] * (width - len(told))][:width]
    return Output(name, kind, [count, width], flat_texts)


assert set(_MAKE) == set(OUTPUTS)
