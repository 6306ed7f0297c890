"""The draft itself: a contract as YAML text, with comments for the person who will own it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from churn.domain import contract
from churn.domain.contract import MISSING, Text
from churn.domain.drafting import columns, leaks
from churn.domain.drafting import target as targets
from churn.domain.drafting.columns import Feature, LeftOut
from churn.domain.drafting.names import identifiers, model_name
from churn.domain.drafting.profile import Column, Profile, profile
from churn.domain.drafting.scalars import mapping, quoted, scalar, sequence
from churn.domain.errors import UserError
from churn.domain.formula import nearest
from churn.domain.parsing import present, timestamps, values_of

_HEADER = """\
# Drafted from {where} ({rows:,} rows); it is yours to correct.
# - A range is what was seen, widened by its own width on both sides. A row with a value outside, with a category not
#   listed or with a missing value where none was seen goes to quarantine: narrow or widen as you know the data.
# - Add features with `derived:`; feature_repo/contracts/telco.yaml shows how, churn/domain/contract.py explains all.
"""


def draft(  # noqa: PLR0913 - what a person may say of a table
    batches: Iterable[pa.RecordBatch],
    *,
    target: str,
    key: str = "",
    positive: str = "",
    timestamp: str = "",
    name: str = "churn",
    where: str = "table",
) -> str:
    """The YAML of a contract for a table, under which the table itself is valid.

    `target`, `key` and `timestamp` name columns of the source, `positive` the value that means "left", `name` the
    model, `where` the table in messages. Memory does not grow with the rows.
    Raises UserError for a column that is not there, a target that has not two values, a timestamp that is no date, or
    a table without any column to learn from."""
    roles = {role: column for role, column in (("target", target), ("key", key), ("timestamp", timestamp)) if column}
    text = _Draft(profile(batches, where), roles, positive, where).text(model_name(name))
    contract.parse(text, where=f"draft for {where}")
    return text


class _Draft:
    """All decisions about one table; `roles` are the columns that are named for one."""

    def __init__(self, seen: Profile, roles: dict[str, str], positive: str, where: str) -> None:
        self.seen, self.roles, self.where = seen, roles, where
        for role, name in roles.items():
            self._require(role, name)
        if "target" not in roles:
            raise UserError("no target is named", where=where, remedy=nearest("churn", list(seen.columns)))
        if "timestamp" in roles:
            _require_dates(seen, roles["timestamp"], where)
        self.names = identifiers(seen.columns)
        self.target = targets.choose(seen.columns[roles["target"]], positive, where)
        self.features, self.left_out = self._decide()
        if not self.features:
            raise UserError("no column is left to learn from", where=where, remedy="; ".join(_reasons(self.left_out)))

    def text(self, name: str) -> str:
        """The document."""
        lines = [*_HEADER.format(where=quoted(self.where, 200)[1:-1], rows=self.seen.rows).splitlines()]
        lines += [f"name: {scalar(name)}", "", *self._key(), *self._timestamp(), *self._target(), *self._missing()]
        lines += ["", "columns:"]
        for feature in self.features:
            lines += _feature(feature)
        if self.left_out:
            lines += ["", "# Left out:", *(f"# - {reason}" for reason in _reasons(self.left_out))]
        return "\n".join(lines) + "\n"

    def _require(self, role: str, name: str) -> None:
        if name not in self.seen.columns:
            remedy = nearest(name, list(self.seen.columns))
            raise UserError(f"there is no column '{name}' (named as the {role})", where=self.where, remedy=remedy)
        if list(self.roles.values()).count(name) > 1:
            raise UserError(
                f"the column '{name}' is named twice", where=self.where, remedy="each has a role of its own"
            )

    def _decide(self) -> tuple[list[Feature], list[LeftOut]]:
        decided = [
            columns.decide(column, self.names[source], self.seen.sample)
            for source, column in self.seen.columns.items()
            if source not in self.roles.values()
        ]
        outcomes = self.target.outcomes(self.seen.sample)
        features: list[Feature] = []
        left_out: list[LeftOut] = []
        for one in decided:
            if isinstance(one, Feature):
                reason = leaks.suspicion(one, self.seen.sample, outcomes)
                if not reason:
                    features.append(one)
                    continue
                one = LeftOut(one.source, reason)  # noqa: PLW2901
            left_out.append(one)
        return features, left_out

    def _key(self) -> Iterator[str]:
        if "key" in self.roles:
            column = self.seen.columns[self.roles["key"]]
            if column.missing:
                yield f"# {column.missing:,} rows have no key: they go to quarantine."
            if "timestamp" not in self.roles and not columns.is_unique(column, self.seen.sample, 1.0):
                yield "# Keys repeat: unless such rows are equal, name the column that dates them (--timestamp)."
            kind = "integer" if column.integers == column.present and not column.padded else "string"
            yield f"key: {mapping([*self._named(column), ('type', kind)])}"
            return
        yield "# No key: what a row holds identifies it, and predictions by id are not to be had."
        for column in self.seen.columns.values():
            if column.source not in self.roles.values() and columns.looks_like_a_key(column, self.seen.sample):
                yield f"# {quoted(column.source)} looks like one: draft again with --key to use it."

    def _timestamp(self) -> Iterator[str]:
        if "timestamp" in self.roles:
            yield f"event_timestamp: {mapping(self._named(self.seen.columns[self.roles['timestamp']]))}"
        else:
            yield "# No event timestamp: the as-of date of a run dates its rows."

    def _target(self) -> Iterator[str]:
        found = self.target
        parts = [*self._named(self.seen.columns[found.source]), ("positive", found.positive)]
        if found.negative is not None:
            parts.append(("negative", found.negative))
        if found.note:
            yield f"# {found.note}"
        if found.unlabelled:
            yield f"# {found.unlabelled:,} rows have no outcome: they are kept, and not trained on."
        yield "# horizon_days: a row's outcome falls within so many days of its date."
        yield f"target: {mapping([*parts, ('horizon_days', 30)])}"

    def _missing(self) -> Iterator[str]:
        used = {feature.source for feature in self.features}
        found = [columns.placeholders(column) for source, column in self.seen.columns.items() if source in used]
        words = sorted({word for one in found for word in one})
        if words:
            yield f"validation: {{missing: {sequence([*MISSING, *words])}}}"

    def _named(self, column: Column) -> list[tuple[str, Text]]:
        name = self.names[column.source]
        return [("column", name), ("source", column.source)] if column.source != name else [("column", name)]


def _feature(feature: Feature) -> Iterator[str]:
    yield f"  {feature.name}:"
    note = f"  # {feature.note}" if feature.note else ""
    yield f"    type: {feature.type}{'' if feature.range else note}"
    if feature.source != feature.name:
        yield f"    source: {scalar(feature.source)}"
    if feature.range:
        yield f"    range: {sequence(feature.range)}{note}"
    if feature.categories:
        yield f"    categories: {sequence(feature.categories)}"
    if feature.missing:
        yield f"    nullable: true  # {feature.missing:,} missing"
    if feature.spelling:
        yield f"    cleaning: {{spelling: {mapping(feature.spelling.items())}}}"
    elif feature.missing and feature.type != "category":
        yield "    cleaning: {fill: median}"


def _require_dates(seen: Profile, source: str, where: str) -> None:
    values = present(values_of(seen.sample, source), MISSING)
    stamps = timestamps(values)
    wrong = [value for value, stamp in zip(values.to_pylist(), stamps.to_pylist(), strict=True) if value and not stamp]
    if wrong or stamps.null_count == len(stamps):
        example = f", such as '{wrong[0]}'" if wrong else ""
        remedy = "write them as 2026-01-31 or 2026-01-31T12:00:00Z"
        raise UserError(f"holds values that are no dates{example}", where=f"{where}, column {source}", remedy=remedy)


def _reasons(left_out: list[LeftOut]) -> list[str]:
    return [f"{quoted(one.source)}: {one.reason}" for one in left_out]
