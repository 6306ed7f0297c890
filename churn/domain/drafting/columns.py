"""What a column of a source is good for: a feature of the contract, or a reason to leave it out."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from churn.domain import parsing
from churn.domain.drafting.names import snake
from churn.domain.drafting.profile import Column
from churn.domain.drafting.scalars import quoted

MOST_CATEGORIES = 50

_UNIQUE = 0.95
_FEW = 10
_ENOUGH = 20
_IDENTIFIERS = frozenset({"id", "uuid", "guid", "key", "number", "no", "nr", "account", "phone", "msisdn", "index"})
_CODES = frozenset({"zip", "zipcode", "postal", "postcode", "code"})
_PLACEHOLDERS = frozenset({"?", "-", "--", ".", "*", "none", "unknown", "missing", "n.a.", "#n/a", "<na>", "(null)"})


@dataclass(frozen=True)
class Feature:
    """A column of the contract to be. `note` is what its reader should know."""

    name: str
    source: str
    type: Literal["integer", "number", "category"]
    range: tuple[float, float] | None = None
    categories: tuple[str, ...] = ()
    spelling: dict[str, str] = field(default_factory=dict)
    missing: int = 0
    note: str = ""


@dataclass(frozen=True)
class LeftOut:
    """A column that is no feature, and why."""

    source: str
    reason: str


def decide(column: Column, name: str, sample: pa.Table) -> Feature | LeftOut:
    """What to make of a column; `sample` are some rows of its table."""
    plain = _without_use(column)
    if plain:
        return LeftOut(column.source, plain)
    if _is_boolean(column):
        return _boolean(column, name)
    if is_number(column):
        return _number(column, name, sample)
    return _category(column, name, sample)


def is_number(column: Column) -> bool:
    """Whether all values are numbers, but for a few words that stand for none."""
    return not column.padded and column.numbers > 0 and column.numbers + _placeholders(column).total() == column.present


def placeholders(column: Column) -> list[str]:
    """Words of a numeric column that stand for a missing value, and that no contract takes for one by default."""
    return sorted(_placeholders(column)) if is_number(column) else []


def looks_like_a_key(column: Column, sample: pa.Table) -> bool:
    """Whether each row has a value of its own, under a name or in a form that identifiers have."""
    if column.missing or column.dates or not is_unique(column, sample, 1.0):
        return False
    return not is_number(column) or _is_counter(column) or bool(_tokens(column) & _IDENTIFIERS)


def _without_use(column: Column) -> str:
    if not column.present:
        return "no row has a value"
    if column.unsupported or pa.types.is_time(column.type) or pa.types.is_duration(column.type):
        return f"values of type {column.type} are not supported; make it a number or a text"
    if column.dates >= _UNIQUE * column.present:
        return "a date; what may help is a number made from it, like days since then"
    if column.values is not None and len(column.values) == 1 and (not column.missing or column.numbers):
        value = next(iter(column.values))
        return f"every row that has a value has the same, {quoted(value)}"
    return ""


def _is_boolean(column: Column) -> bool:
    return column.values is not None and {value.lower() for value in column.values} <= {"true", "false"}


def _boolean(column: Column, name: str) -> Feature:
    seen = [value for value in column.values or () if value not in {"true", "false"}]
    spelling = {
        value: value.lower() for value in sorted({"True", "False", *seen})
    }  # as CSV files of other tools have it
    return Feature(name, column.source, "category", None, ("false", "true"), spelling, column.missing)


def _placeholders(column: Column) -> Counter[str]:
    """The words of a column that are no numbers, when they look like a missing value; the rest must be numbers."""
    words = column.words
    known = all(word.lower() in _PLACEHOLDERS for word in words)
    rare = len(words) <= 3 and words.total() <= 0.05 * column.present and not any(c.isdigit() for w in words for c in w)
    return words if known or rare else Counter()


def _number(column: Column, name: str, sample: pa.Table) -> Feature | LeftOut:
    whole = column.integers == column.numbers
    if whole and max(abs(column.low), abs(column.high)) >= parsing.EXACT:
        return LeftOut(column.source, "integers beyond 2^53, which no model holds exactly; an identifier?")
    if whole and _identifies(column, sample):
        return LeftOut(column.source, "suspected identifier: an integer of its own in (nearly) every row")
    if whole and _tokens(column) & _CODES:
        return _code(column, name)
    kind: Literal["integer", "number"] = "integer" if whole and not _is_measured(column) else "number"
    missing = column.missing + column.present - column.numbers
    note = f"seen: {column.low:.12g} to {column.high:.12g}"
    values = column.values
    if whole and values is not None and 2 < len(values) <= _FEW:
        note += "; if these are codes and not amounts, make it a category"
    return Feature(name, column.source, kind, _range(column, whole=whole), missing=missing, note=note)


def _code(column: Column, name: str) -> Feature | LeftOut:
    if column.values is None or len(column.values) > MOST_CATEGORIES:
        return LeftOut(column.source, "seems to be a code: its size means nothing, and it has too many values to list")
    feature = Feature(name, column.source, "category", categories=tuple(sorted(column.values)), missing=column.missing)
    return replace(feature, note="numbers that seem to be codes")


def _category(column: Column, name: str, sample: pa.Table) -> Feature | LeftOut:
    if is_unique(column, sample, _UNIQUE) and column.present >= _ENOUGH:
        return LeftOut(column.source, "suspected identifier: a text of its own in (nearly) every row")
    spellings = _spellings(column.values) if column.values is not None else {}
    if not 0 < len(spellings) <= MOST_CATEGORIES:
        return LeftOut(column.source, f"free text, or more than {MOST_CATEGORIES} categories")
    if len(spellings) == 1 and not column.missing:
        return LeftOut(column.source, "every row has the same value, in several spellings")
    variants = {variant: main for main, others in spellings.items() for variant in others}
    return Feature(name, column.source, "category", None, tuple(sorted(spellings)), variants, column.missing)


def _spellings(values: Counter[str]) -> dict[str, list[str]]:
    """Values that differ by case and blanks alone, under the most frequent of each."""
    alike: dict[str, list[str]] = defaultdict(list)
    for value in sorted(values, key=lambda value: (-values[value], value)):
        alike[" ".join(value.casefold().split())].append(value)
    return {main: others for main, *others in alike.values()}


def is_unique(column: Column, sample: pa.Table, share: float) -> bool:
    """Whether at least a share of the values are different ones, as far as counts or a sample tell."""
    if column.values is not None:
        return len(column.values) >= share * column.present
    values = parsing.values_of(sample, column.source)
    return bool(pc.count_distinct(values).as_py() >= share * (len(values) - values.null_count))


def _identifies(column: Column, sample: pa.Table) -> bool:
    if column.present < _ENOUGH or not is_unique(column, sample, _UNIQUE):
        return False
    return _is_counter(column) or bool(_tokens(column) & _IDENTIFIERS)


def _is_counter(column: Column) -> bool:
    """Whether the values are consecutive integers, one for each row."""
    return column.high - column.low + 1 == column.present


def _is_measured(column: Column) -> bool:
    """Whether whole numbers are so by chance. A float column with gaps is mostly one of integers that met a null."""
    return pa.types.is_floating(column.type) and not column.missing


def _tokens(column: Column) -> set[str]:
    return set(snake(column.source).split("_"))


def _range(column: Column, *, whole: bool) -> tuple[float, float]:
    """The span seen, widened by its own width on both sides to round numbers; shares stay shares, amounts positive."""
    low, high = column.low, column.high
    if low >= 0 and high <= 1 and (not whole or low < high):
        return 0, 1
    width = (high - low) or abs(high) or 1.0
    if not math.isfinite(3 * width):
        return low, high
    unit = 10.0 ** math.floor(math.log10(width) - 0.5)
    unit = max(unit, 1.0) if whole else unit
    least, most = math.floor((low - width) / unit) * unit, math.ceil((high + width) / unit) * unit
    least = max(least, 0.0) if low >= 0 else least
    most = min(most, 0.0) if high <= 0 else most
    return _short(least), _short(most)


def _short(value: float) -> float:
    """Without the noise of binary fractions, and whole where it can be."""
    return int(value) if value.is_integer() and abs(value) <= parsing.EXACT else float(f"{value:.12g}")
