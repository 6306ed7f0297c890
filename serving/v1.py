"""The v1 protocol: `{"instances": [{...}], "parameters": {...}}` to `{"predictions": [{...}], "risk": {...}}`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from serving.answers import Answers, Explanation
from serving.asked import ABSENT, PLAIN_OPTIONS, Asked, Options, shown
from serving.documents import parse, shaped
from serving.errors import Fault, MalformedError
from serving.plain import Columns, Plain


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request: one mapping for each customer."""

    instances: list[dict[str, Any]]
    parameters: Options = PLAIN_OPTIONS


class Answer(msgspec.Struct, kw_only=True):
    """`decision` is whether to act: the probability reaches the threshold."""

    customer_id: str | int | UnsetType = UNSET
    probability: float
    decision: bool
    risk: str
    confidence: float
    recommendation: str
    model_name: str
    model_version: int
    variant: str
    explanation: dict[str, Any] | UnsetType = UNSET


class Unanswered(msgspec.Struct, kw_only=True):
    """Stands in the place of a customer who could not be answered, where the caller asked for what there is."""

    customer_id: str | int | UnsetType = UNSET
    error: dict[str, Any]


class Instances(Asked):
    """Customers as mappings, each with fields of its own choice."""

    columnar = False

    def __init__(self, rows: Sequence[Mapping[str, Any]], options: Options = PLAIN_OPTIONS) -> None:
        self.rows, self.options, self.count = rows, options, len(rows)

    @cached_property
    def values(self) -> ByField:
        """The customers' values by field."""
        return ByField(self.rows)

    def rows_with(self, name: str) -> Sequence[int]:
        """The customers who have a field, found once for all fields."""
        return self.values.where[name]

    def take(self, rows: Sequence[int]) -> Instances:
        """Some of the instances; each is called by the place it had."""
        return _Taken(self, rows)

    def _read(self, readers: Plain) -> Columns | None:
        """One by one."""
        return readers.row(self.rows[0]) if self.count == 1 else readers.rows(self.rows)

    def cell(self, row: int, name: str) -> str:
        """`instances[3].tenure`."""
        return f"instances[{row}].{shown(name)}"

    def field(self, name: str) -> str:
        """`instances[*].tenure`."""
        return f"instances[*].{shown(name)}"

    def customer(self, row: int) -> str:
        """`instances[3]`."""
        return f"instances[{row}]"


class _Taken(Instances):
    """Some of the instances of a request."""

    def __init__(self, whole: Instances, rows: Sequence[int]) -> None:
        super().__init__([whole.rows[row] for row in rows], whole.options)
        self._whole, self._places = whole, rows

    def cell(self, row: int, name: str) -> str:
        """The place in the whole request."""
        return self._whole.cell(self._places[row], name)

    def customer(self, row: int) -> str:
        """The place in the whole request."""
        return self._whole.customer(self._places[row])


class ByField(Mapping[str, Sequence[object]]):
    """Instances by field. A column is made when it is asked for: with names of its own for each customer, all of them
    together would be as large as the square of the request."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows = rows
        self._made: dict[str, list[object]] = {}
        self.where: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            for name in row:
                self.where.setdefault(name, []).append(place)

    def __getitem__(self, name: str) -> list[object]:
        if name not in self.where:
            raise KeyError(name)
        if name not in self._made:
            self._made[name] = [row.get(name, ABSENT) for row in self._rows]
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.where)

    def __len__(self) -> int:
        return len(self.where)


_decoder = msgspec.json.Decoder(Body)


def read(body: bytes) -> Instances:
    """The customers in a request's body. Raises MalformedError for anything else."""
    try:
        document = _decoder.decode(body)
    except (ValueError, RecursionError):  # msgspec.ValidationError too: said again where it can be said well
        return decode(parse(body))
    return _instances(document)


def decode(document: object) -> Instances:
    """The customers in a request's document. Raises MalformedError for anything else."""
    return _instances(shaped(document, Body))


def _instances(document: Body) -> Instances:
    if not document.instances:
        raise MalformedError([Fault("instances", "is empty")])
    return Instances(document.instances, document.parameters)


def explaining(options: Options) -> Options:
    """The same, with reasons."""
    return msgspec.structs.replace(options, explain=True)


def render(answers: Answers) -> dict[str, Any]:
    """The response: one object for each customer, in order; of a batch also how many are at which risk."""
    rendered: dict[str, Any] = {"predictions": _objects(answers)}
    if answers.count > 1:
        rendered["risk"] = answers.counts()
    return rendered


def render_explanations(answers: Answers) -> dict[str, Any]:
    """The response of `:explain`."""
    return {"explanations": _objects(answers)}


def _objects(answers: Answers) -> list[Answer | Unanswered]:
    ids = answers.ids or [UNSET] * answers.count
    explained = answers.explanations
    found: list[Answer | Unanswered] = []
    for row, (key, p, acts, risk, sure, words, version, variant) in enumerate(
        zip(
            ids,
            answers.probability,
            answers.decision,
            answers.risk,
            answers.confidence,
            answers.recommendation,
            answers.version,
            answers.variant,
            strict=True,
        )
    ):
        if row in answers.failures:
            found.append(Unanswered(customer_id=key, error=answers.error(row)))
            continue
        why = explained[row] if explained else None
        found.append(
            Answer(
                customer_id=key,
                probability=p,
                decision=acts,
                risk=risk,
                confidence=sure,
                recommendation=words,
                model_name=answers.model,
                model_version=version,
                variant=variant,
                explanation=_explanation(why) if why else UNSET,
            )
        )
    return found


def _explanation(why: Explanation) -> dict[str, Any]:
    return {
        "method": METHODS[why.exact],
        "base_value": why.base,
        "contributions": why.contributions,
        "reasons": why.reasons,
    }


METHODS = {True: "exact", False: "approximate"}
"""How contributions were found: from the model itself, or by sampling."""
