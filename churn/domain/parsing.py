"""From a source's columns, text or typed, to the contract's: names, types, spelling. What does not parse is a fault.

A fault says row, column, value and problem. Missing is null everywhere: the contract's missing words, NaN, blanks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from churn.domain import rules
from churn.domain.contract import Column, Contract
from churn.domain.errors import UserError
from churn.domain.formula import nearest

FAULTS = pa.schema([("row", pa.int64()), ("column", pa.string()), ("value", pa.string()), ("problem", pa.string())])
"""One line for each fault; `row` counts from 0 within the parsed table, `column` is the contract's name."""

TIMESTAMP = pa.timestamp("us", tz="UTC")
EXACT = 2**53
"""The largest integer that float64, and so the graph, holds exactly."""

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_DIGITS = r"^[+-]?0*\d{1,18}$"
_DIGITS_19 = r"^[+-]?\d{19}$"
_LARGEST = str(2**63 - 1)


@dataclass(frozen=True)
class Parsed:
    """A table with the contract's names and types, and the faults of its rows."""

    table: pa.Table
    faults: pa.Table


def types(contract: Contract) -> dict[str, pa.DataType]:
    """Arrow types of the parsed table: key, event timestamp, columns, target, as far as the contract has them."""
    named: dict[str, pa.DataType] = {}
    if contract.key:
        named[contract.key.column] = pa.int64() if contract.key.type == "integer" else pa.string()
    if contract.event_timestamp:
        named["event_timestamp"] = TIMESTAMP
    named |= {name: column_type(column) for name, column in contract.columns.items()}
    return named | {contract.target.column: pa.int64()}


def column_type(column: Column) -> pa.DataType:
    """The Arrow type of a contract column: int64, float64, or string for a category."""
    return {"integer": pa.int64(), "number": pa.float64(), "category": pa.string()}[column.type]


def require_distinct(names: list[str], where: str) -> None:
    """Raises UserError when the source has a column twice: which of the two is meant?"""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"the column '{twice[0]}' stands twice", where=where, remedy="rename or remove one of the two")


def require_columns(contract: Contract, names: list[str], where: str, *, labelled: bool = True) -> None:
    """Raises UserError when the source lacks a column the contract reads, or has one twice."""
    require_distinct(names, where)
    special = [part.column for part in (contract.key, contract.event_timestamp) if part]
    wanted = [*special, *contract.columns, *([contract.target.column] if labelled else [])]
    lacking = [contract.source_of(name) for name in wanted if contract.source_of(name) not in names]
    if lacking:
        more = f" (and {len(lacking) - 1} more: {', '.join(lacking[1:6])})" if lacking[1:] else ""
        raise UserError(f"the column '{lacking[0]}' is missing{more}", where=where, remedy=nearest(lacking[0], names))


def parse(contract: Contract, table: pa.Table) -> Parsed:
    """`table` under the contract. Columns it lacks come out null; the checks of `rules` are not part of this."""
    columns: dict[str, pa.Array] = {}
    faults: list[pa.Table] = []
    for name, kind in types(contract).items():
        source = contract.source_of(contract.event_timestamp.column if _is_time(contract, name) else name)  # type: ignore[union-attr]
        values = values_of(table, source)
        parsed, problem = _parse(contract, name, kind, values)
        columns[name] = parsed
        failed = pc.and_(pc.is_valid(_present(contract, name, values)), pc.is_null(parsed))
        faults.append(faults_of(name, failed, values, problem))
    return Parsed(pa.table(columns), pa.concat_tables(faults))


def faults_of(column: str, failed: pa.Array, values: pa.Array, problem: str) -> pa.Table:
    """A fault for each row where `failed` (bool) holds."""
    if not pc.any(failed).as_py():  # the usual case, and most of what a request costs otherwise
        return FAULTS.empty_table()
    rows = pc.indices_nonzero(failed).cast(pa.int64())
    shown = pc.utf8_slice_codeunits(_shown(pc.take(values, rows)), 0, 80)
    return pa.table([rows, _repeated(column, len(rows)), shown, _repeated(problem, len(rows))], schema=FAULTS)


def check(contract: Contract, parsed: Parsed) -> pa.Table:
    """All faults of a parsed table: those of parsing and those of the contract's rules."""
    found = [FAULTS.empty_table()]
    for name in parsed.table.column_names:
        values = values_of(parsed.table, name)
        found += [faults_of(name, rule.broken(values), values, rule.problem) for rule in rules.of(contract, name)]
    return together(parsed, pa.concat_tables(found))


def together(parsed: Parsed, broken: pa.Table) -> pa.Table:
    """The faults of parsing and those of the rules, by row: a value that did not parse breaks no rule besides."""
    found = [parsed.faults]
    for name in parsed.table.column_names:
        of_column = broken.filter(pc.equal(broken["column"], name))
        unparsed = parsed.faults.filter(pc.equal(parsed.faults["column"], name))["row"].combine_chunks()
        found.append(of_column.filter(pc.invert(pc.is_in(of_column["row"], unparsed))))
    return pa.concat_tables(found).sort_by("row")


def _repeated(word: str, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(word, pa.string()), count)


def _is_time(contract: Contract, name: str) -> bool:
    return name == "event_timestamp" and contract.event_timestamp is not None


def values_of(table: pa.Table, name: str) -> pa.Array:
    """A column of a source as one plain array: no dictionaries, no NaN, one kind of text; null where it is absent."""
    if name not in table.column_names:
        return pa.nulls(table.num_rows)
    column = table[name]
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    values = pa.concat_arrays(values.chunks) if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type):
        values = values.cast(pa.string())
    if pa.types.is_floating(values.type):
        return pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    return values


def _present(contract: Contract, name: str, values: pa.Array) -> pa.Array:
    """The values with the contract's missing words turned to null; a word that names a category is not missing."""
    column = contract.columns.get(name)
    meant = {*column.categories, *column.cleaning.spelling} if column else set()
    return present(values, [word for word in contract.validation.missing if word not in meant])


def present(values: pa.Array, missing: Sequence[str]) -> pa.Array:
    """Text without the blanks around it, and null where it is one of the `missing` words; other types as they are."""
    if not pa.types.is_string(values.type):
        return values
    trimmed = pc.utf8_trim_whitespace(values)
    return _only(trimmed, pc.invert(pc.is_in(trimmed, pa.array(missing, pa.string()))))


def _parse(contract: Contract, name: str, kind: pa.DataType, values: pa.Array) -> tuple[pa.Array, str]:
    given = _present(contract, name, values)
    if name == contract.target.column:
        return _target(contract, given), f"is not a value of the target ('{contract.target.positive}' means positive)"
    if kind == TIMESTAMP:
        return timestamps(given), "is not a date or time"
    if contract.key and name == contract.key.column and kind == pa.int64():
        return integers(given), "is not an integer of at most 64 bits"  # a key enters no graph
    if kind == pa.int64():
        return _exact(integers(given)), f"is not an integer of at most {EXACT}"
    if kind == pa.float64():
        return numbers(given), "is not a number"
    column = contract.columns.get(name)
    return spelled(text(given), column.cleaning.spelling if column else {}), "is not text"


def text(values: pa.Array) -> pa.Array:
    """Values as text: booleans as true and false, whole numbers without a fraction. What has no text comes out null."""
    if pa.types.is_decimal(values.type) and values.type.scale:
        values = _cast(values, pa.float64())
    if pa.types.is_floating(values.type):
        return pc.coalesce(_whole(values).cast(pa.string()), values.cast(pa.string()))
    return _cast(values, pa.string())


def _shown(values: pa.Array) -> pa.Array:
    """Values as people may see them, whatever their type."""
    shown = text(values)
    if shown.null_count == values.null_count:
        return shown
    return pa.array([None if value is None else str(value) for value in values.to_pylist()], pa.string())


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """The values as another type; all null where Arrow knows no way between the two."""
    try:
        return values.cast(kind, safe=pa.types.is_string(kind))  # unsafe, bytes become text unchecked
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return pa.nulls(len(values), kind)


def numbers(values: pa.Array) -> pa.Array:
    """Finite float64 of numbers and of their text; null for anything else."""
    if pa.types.is_boolean(values.type) or pa.types.is_temporal(values.type):
        return pa.nulls(len(values), pa.float64())
    if pa.types.is_string(values.type):
        values = _only(values, pc.match_substring_regex(values, _NUMBER))
    cast = _cast(values, pa.float64())
    return _only(cast, pc.is_finite(cast))


def integers(values: pa.Array) -> pa.Array:
    """int64, exactly: integers and their text as they are; other numbers where they are whole and below 2^53."""
    if pa.types.is_integer(values.type):
        unsigned = values.type == pa.uint64()
        fits = pc.less_equal(values, pa.scalar(2**63 - 1, pa.uint64())) if unsigned else pc.is_valid(values)
        return _only(values, fits).cast(pa.int64())
    whole = _whole(numbers(values))
    return pc.coalesce(_digits(values), whole) if pa.types.is_string(values.type) else whole


def _digits(values: pa.Array) -> pa.Array:
    """int64 of text that is digits alone and fits."""
    unsigned = pc.utf8_ltrim(values, "+-")
    long = pc.and_(pc.match_substring_regex(values, _DIGITS_19), pc.less_equal(unsigned, pa.scalar(_LARGEST)))
    fits = pc.or_(pc.match_substring_regex(values, _DIGITS), long)
    return pc.utf8_ltrim(_only(values, fits), "+").cast(pa.int64())


def _whole(values: pa.Array) -> pa.Array:
    """int64 of floats without a fraction below 2^53; null for others."""
    whole = pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), pa.scalar(float(EXACT))))
    return _only(values, whole).cast(pa.int64(), safe=False)


def _exact(values: pa.Array) -> pa.Array:
    """Integers that float64, and so the graph, holds."""
    return _only(values, pc.and_(pc.less_equal(values, pa.scalar(EXACT)), pc.greater_equal(values, pa.scalar(-EXACT))))


def _only(values: pa.Array, keep: pa.Array) -> pa.Array:
    return pc.if_else(keep, values, pa.scalar(None, values.type))


def spelled(values: pa.Array, spelling: Mapping[str, str]) -> pa.Array:
    """Texts with each variant replaced by what it stands for."""
    if not spelling:
        return values
    position = pc.index_in(values, pa.array(list(spelling), pa.string()))
    return pc.coalesce(pc.take(pa.array(list(spelling.values()), pa.string()), position), values)


def _target(contract: Contract, values: pa.Array) -> pa.Array:
    words = comparable(values)
    positive = pc.equal(words, _word(contract.target.positive))
    if contract.target.negative is None:
        return positive.cast(pa.int64())
    negative = pc.equal(words, _word(contract.target.negative))
    return _only(positive.cast(pa.int64()), pc.or_(positive, negative))


def comparable(values: pa.Array) -> pa.Array:
    """Text by which target values are compared: letters in lower case, numbers as `text` has them."""
    return pc.coalesce(text(numbers(values)), pc.utf8_lower(pc.utf8_trim_whitespace(text(values))))


def _word(value: object) -> pa.Scalar:
    return comparable(pa.array([value]))[0]


def timestamps(values: pa.Array) -> pa.Array:
    """Dates and times (ISO 8601 where they are text) as UTC; what is neither comes out null. Naive times are UTC."""
    if pa.types.is_timestamp(values.type) and values.type.tz:
        return values.cast(TIMESTAMP)
    if pa.types.is_temporal(values.type):
        return _cast(_cast(values, pa.timestamp("us")), TIMESTAMP)
    if not pa.types.is_string(values.type):
        return pa.nulls(len(values), TIMESTAMP)
    import pandas as pd

    stamps = pd.to_datetime(values.to_pandas(), errors="coerce", utc=True, format="ISO8601")
    return pa.Array.from_pandas(stamps, type=TIMESTAMP)
