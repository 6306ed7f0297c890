"""When a table as a whole cannot be used: the first reason found, as the error that says so."""

from __future__ import annotations

from collections.abc import Iterator

from churn.domain.contract import Contract
from churn.domain.errors import UserError
from components.validate.report import Fault, Report

_NAMED = 3


def refuse(contract: Contract, report: Report) -> None:
    """Raises UserError naming file, column and remedy for a table that nothing can be learned from."""
    for problem, remedy in _reasons(contract, report):
        raise UserError(problem, where=report.source, remedy=remedy)


def _reasons(contract: Contract, report: Report) -> Iterator[tuple[str, str]]:
    rows = report.rows - report.duplicates
    for name, seen in report.columns.items():
        if seen.missing == rows:
            remedy = f"export it, or remove '{name}' from the contract's columns"
            yield f"the column '{seen.source}' has no value in any row", remedy
    for name, seen in report.columns.items():
        if seen.unparsed and seen.unparsed + seen.missing == rows:
            fault = next(fault for fault in report.faults if fault.column == name)
            example = f", such as {_example(fault)}" if _example(fault) else ""
            problem = f"in all rows the value of the column '{seen.source}' {fault.problem}{example}"
            yield problem, f"correct the column, or '{name}' in the contract"
    if report.bad_share > report.max_bad_share:
        yield _too_many(report), "correct the table or the contract, or raise its validation.max_bad_share"
    if not report.valid:
        yield _too_many(report), "correct the table or the contract"
    if report.repeated_keys.keys:
        yield _repeated(contract, report), "keep one row, or name the column that dates them as event_timestamp"
    yield from _one_outcome(contract, report)


def _too_many(report: Report) -> str:
    rows = report.rows - report.duplicates
    allowed = f", more than the {_percent(report.max_bad_share)} allowed" if report.valid else ""
    worst = "; ".join(_told(fault) for fault in report.faults[:_NAMED])
    more = len(report.faults) - _NAMED
    others = f"; and {more} more kinds of fault" if more > 0 else ""
    bad = f"{report.quarantined} of {rows} rows ({_percent(report.bad_share)})"
    return f"{bad} break the contract{allowed}: {worst}{others}"


def _told(fault: Fault) -> str:
    example = f" (such as {_example(fault)})" if _example(fault) else ""
    rows = "1 row" if fault.rows == 1 else f"{fault.rows} rows"
    return f"the column '{fault.source}' {fault.problem} in {rows}{example}"


def _example(fault: Fault) -> str:
    shown = next((one for one in fault.examples if one.value is not None), None)
    return f"'{shown.value}' in row {shown.row}" if shown else ""


def _repeated(contract: Contract, report: Report) -> str:
    assert contract.key, "only a key can stand twice"
    source, found = contract.source_of(contract.key.column), report.repeated_keys
    rows = ", ".join(str(row) for row in found.rows)
    when = " at one event timestamp" if contract.event_timestamp else ""
    several = f"{found.keys} keys stand" if found.keys > 1 else "1 key stands"
    return f"the key '{source}' is not unique{when}: {several} in several rows that differ, such as the rows {rows}"


def _one_outcome(contract: Contract, report: Report) -> Iterator[tuple[str, str]]:
    source = contract.source_of(contract.target.column)
    counts = report.outcomes
    if counts.positive and counts.negative:
        return
    if not counts.positive and not counts.negative:
        yield f"no valid row has a value in the target column '{source}'", "both outcomes are needed to learn from"
        return
    labelled = counts.positive + counts.negative
    only = "is" if counts.positive else "is never"
    problem = f"the target column '{source}' {only} '{contract.target.positive}' in all {labelled} labelled rows"
    yield problem, "both outcomes are needed; is target.positive right in the contract?"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
