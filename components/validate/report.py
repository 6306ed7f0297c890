"""What validation saw of a table: numbers that the step's artifacts, the gate's report and people read."""

from __future__ import annotations

import msgspec

from components.pages import template


class Example(msgspec.Struct, frozen=True):
    """A faulty value and its row, counted from 1 below the header; keys and nulls show no value."""

    row: int
    value: str | None


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """How often one thing is wrong with one column; `problem` completes "the value ..."."""

    column: str
    source: str
    problem: str
    rows: int
    examples: tuple[Example, ...]


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A column over all rows but duplicates: those without a value, and those with one of another type.

    A column that is `mostly_missing` takes no part in training."""

    source: str
    missing: int
    missing_share: float
    unparsed: int
    mostly_missing: bool


class Outcomes(msgspec.Struct, frozen=True, kw_only=True):
    """The valid rows by their target; unlabelled ones are kept, and not trained on."""

    positive: int
    negative: int
    unlabelled: int


class RepeatedKeys(msgspec.Struct, frozen=True):
    """How many keys stand in several rows with one event timestamp, and the first rows of one of them."""

    keys: int = 0
    rows: tuple[int, ...] = ()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`rows` were read; of them `duplicates` removed, `quarantined` set aside, the rest is `valid`."""

    source: str
    contract: str
    contract_digest: str
    as_of: str
    rows: int
    duplicates: int
    quarantined: int
    valid: int
    bad_share: float
    max_bad_share: float
    faults: tuple[Fault, ...]
    columns: dict[str, Seen]
    outcomes: Outcomes
    repeated_keys: RepeatedKeys


def page(report: Report) -> str:
    """The report as an HTML page, complete in itself."""
    filters = {"count": lambda number: f"{number:,}", "percent": lambda share: f"{100 * share:.3g} %"}
    return template(__file__, "report.html.j2", **filters).render(report=report)
