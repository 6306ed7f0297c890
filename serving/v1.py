"""The v1 protocol: `{"instances": [{...}]}` to `{"predictions": [{...}]}`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from serving.answers import Answer
from serving.asked import ABSENT, Asked, shown
from serving.documents import shaped
from serving.errors import Fault, MalformedError


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request: one mapping for each customer."""

    instances: list[dict[str, Any]]


class Instances(Asked):
    """Customers as mappings, each with fields of its own choice."""

    def cell(self, row: int, name: str) -> str:
        return f"instances[{row}].{shown(name)}"

    def customer(self, row: int) -> str:
        return f"instances[{row}]"

    def places(self, name: str, rows: Sequence[int]) -> list[str]:
        return [self.cell(row, name) for row in rows]

    def render(self, answers: Sequence[Answer]) -> dict[str, Any]:
        return {"predictions": msgspec.to_builtins(answers)}


def decode(document: object) -> Instances:
    """The customers in a request's document. Raises MalformedError for anything else."""
    rows = shaped(document, Body).instances
    if not rows:
        raise MalformedError([Fault("instances", "is empty")])
    named = dict.fromkeys(name for row in rows for name in row)
    return Instances(len(rows), {name: [row.get(name, ABSENT) for row in rows] for name in named})
