"""What a contract's shape alone cannot say: names exist, ranges are ranges, formulas compile."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from churn.domain import contract as c
from churn.domain import formula
from churn.domain.errors import UserError

_IDENTIFIER = re.compile(r"^[a-z_][a-z0-9_]*$")
_MODEL_NAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
_UNKNOWN_FIELD = re.compile(r"unknown field `(?P<name>[^`]+)`(?: - at `(?P<path>[^`]+)`)?")
RESERVED = frozenset({"event_timestamp", "entity_id", "row", "holdout", "fold", "oof", "prediction", "probability"})
"""Names the system gives to columns of its own."""


_HOMES: dict[str, type[msgspec.Struct]] = {
    "candidates": c.Candidate,
    "cleaning": c.Cleaning,
    "columns": c.Column,
    "costs": c.Costs,
    "derived": c.Derived,
    "event_timestamp": c.EventTimestamp,
    "gate": c.Gate,
    "key": c.Key,
    "metrics": c.Bound,
    "recommendations": c.Advice,
    "steps": c.Step,
    "target": c.Target,
    "training": c.Training,
    "validation": c.Validation,
}
"""What lies under a field of a contract, for the names it may hold."""


def explain(error: msgspec.ValidationError, document: object, where: str) -> UserError:
    """The message of a shape error: the path in the document, and the nearest known name for a typo."""
    text, place = _narrowed(str(error), document)
    match = _UNKNOWN_FIELD.search(text)
    if not match:
        return UserError(
            text, where=f"{where}{place}", remedy="see feature_repo/contracts/telco.yaml for a whole contract"
        )
    path = f"{place}{(match['path'] or '').lstrip('$')}"
    remedy = formula.nearest(match["name"], _fields(path))
    return UserError(f"unknown field '{match['name']}'", where=f"{where}{path.replace('.', ', ', 1)}", remedy=remedy)


def _narrowed(text: str, document: object) -> tuple[str, str]:
    """The message and place of the first column, derived feature or recommendation that is at fault on its own."""
    for section, kind in (("columns", c.Column), ("derived", c.Derived), ("recommendations", str | c.Advice)):
        parts = document.get(section) if isinstance(document, dict) else None
        for name, part in parts.items() if isinstance(parts, dict) else ():
            try:
                msgspec.convert(part, kind)
            except msgspec.ValidationError as error:
                return str(error), f", {section}.{name}"
    return text, ""


def _fields(path: str) -> list[str]:
    """Field names of the structure that a path like `$.columns.*.cleaning` leads to."""
    here: type[msgspec.Struct] = c.Contract
    for part in re.findall(r"[a-z_]+", path):
        here = _HOMES.get(part, here)
    return [f.encode_name for f in msgspec.structs.fields(here)]


def check(contract: c.Contract, where: str) -> None:
    """Raises UserError naming the place of the first thing that does not hold."""
    problem = next(_problems(contract), None)
    if problem:
        place, what, remedy = problem
        raise UserError(what, where=f"{where}, {place}", remedy=remedy)
    check_formulas(contract, where)


Problem = tuple[str, str, str]


def _problems(contract: c.Contract) -> Iterator[Problem]:
    if not _MODEL_NAME.match(contract.name):
        yield "name", f"'{contract.name}' cannot name a model", "lower-case letters, digits and hyphens"
    if not contract.columns:
        yield "columns", "no columns", "name at least one"
    yield from _names(contract)
    yield from _sources(contract)
    for name, column in contract.columns.items():
        yield from ((f"columns.{name}", what, remedy) for what, remedy in _column(column))
    for name, derived in contract.derived.items():
        yield from ((f"derived.{name}", what, remedy) for what, remedy in _derived(contract, derived))
    yield from _numbers(contract)
    yield from _recommendations(contract)
    yield from _candidates(contract)


def _names(contract: c.Contract) -> Iterator[Problem]:
    special = [part.column for part in (contract.key, contract.event_timestamp, contract.target) if part]
    names = [*special, *contract.columns, *contract.derived]
    for name in names:
        if not _IDENTIFIER.match(name) or (
            name in RESERVED and name != getattr(contract.event_timestamp, "column", None)
        ):
            yield (
                name,
                f"'{name}' cannot be a column name",
                "lower-case letters, digits, underscores; the source name may be anything",
            )
    for name in _repeated(names):
        yield name, f"'{name}' is named twice", "key, timestamp, target, columns and derived share one set of names"


def _sources(contract: c.Contract) -> Iterator[Problem]:
    special = [part.column for part in (contract.key, contract.event_timestamp, contract.target) if part]
    for source in _repeated(contract.source_of(name) for name in (*special, *contract.columns)):
        yield "columns", f"two columns read the source column '{source}'", "each source column has one name"


def _repeated(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]


def _column(column: c.Column) -> Iterator[tuple[str, str]]:
    yield from _category(column) if column.type == "category" else _number_column(column)


def _category(column: c.Column) -> Iterator[tuple[str, str]]:
    cleaning = column.cleaning
    if not column.categories:
        yield "a category without categories", "list them under 'categories'"
    if _repeated(column.categories):
        yield f"the category '{_repeated(column.categories)[0]}' is listed twice", ""
    if column.range or cleaning.cap or cleaning.fill == "median":
        yield "a category has no range, cap or median", "these are for numbers"
    for to in cleaning.spelling.values():
        if to not in column.categories:
            yield f"'spelling' leads to the unknown category '{to}'", formula.nearest(to, list(column.categories))
    if cleaning.constant is not None and str(cleaning.constant) not in column.categories:
        yield f"the constant '{cleaning.constant}' is not one of the categories", ""


def _number_column(column: c.Column) -> Iterator[tuple[str, str]]:
    cleaning = column.cleaning
    if column.categories:
        yield f"type '{column.type}' has no categories", "type: category"
    if isinstance(cleaning.constant, str):
        yield f"the constant '{cleaning.constant}' is not a number", ""
    low, high = column.range or (None, None)
    if low is not None and high is not None and low > high:
        yield f"the range [{low}, {high}] is empty", "the lower end comes first"
    if cleaning.cap and not 0 <= cleaning.cap[0] < cleaning.cap[1] <= 1:
        yield f"the cap {list(cleaning.cap)} is not a pair of quantiles", "like [0.01, 0.99]"


def _derived(contract: c.Contract, derived: c.Derived) -> Iterator[tuple[str, str]]:
    if sum(map(bool, (derived.formula, derived.flag, derived.bin))) != 1:
        yield "needs exactly one of 'formula', 'flag' and 'bin'", ""
    if derived.told_as not in contract.columns:
        yield (
            f"told_as names the unknown column '{derived.told_as}'",
            formula.nearest(derived.told_as, list(contract.columns)),
        )
    if derived.bin:
        if not derived.edges or list(derived.edges) != sorted(set(derived.edges)):
            yield "the edges of a bin must rise", "like edges: [6, 12, 24]"
        if len(derived.labels) != len(derived.edges) + 1 or _repeated(derived.labels):
            yield f"{len(derived.edges)} edges make {len(derived.edges) + 1} bins, each with a label of its own", ""
    elif derived.edges or derived.labels:
        yield "'edges' and 'labels' belong to a 'bin'", ""


def _numbers(contract: c.Contract) -> Iterator[Problem]:
    bounds = [
        ("validation.max_bad_share", contract.validation.max_bad_share, 0, 1),
        ("training.holdout", contract.training.holdout, 0.01, 0.5),
        ("training.folds", contract.training.folds, 2, 50),
        ("target.horizon_days", contract.target.horizon_days, 0, 3650),
        ("ttl_days", contract.ttl_days, 1, 36500),
        ("costs.success", contract.costs.success, 1e-9, 1),
        ("costs.contact", contract.costs.contact, 0, 1e12),
        ("costs.value", contract.costs.value, 1e-9, 1e15),
        ("high_risk", contract.high_risk, 0, 1),
        ("gate.margin", contract.gate.margin, 0, 1e9),
    ]
    for place, value, low, high in bounds:
        if not low <= value <= high:
            yield place, f"{value} is outside {low} to {high}", ""
    from churn.domain.metrics import NAMES

    for name in contract.gate.metrics:
        if name not in NAMES:
            yield f"gate.metrics.{name}", f"unknown metric '{name}'", formula.nearest(name, list(NAMES))
    if contract.target.negative is not None and str(contract.target.negative) == str(contract.target.positive):
        yield "target", "'positive' and 'negative' are the same value", ""


def _recommendations(contract: c.Contract) -> Iterator[Problem]:
    if set(contract.recommendations) != set(c.RECOMMENDATIONS):
        yield "recommendations", "one for each of low, medium, high", ""
        return
    for level in c.RECOMMENDATIONS:
        place, advice = f"recommendations.{level}", contract.advice(level)
        for column in advice.by_reason:
            if column not in contract.columns:
                known = list(contract.columns)
                yield (
                    place,
                    f"'by_reason' names the unknown column '{column}'",
                    _nearest_column(contract, column, known),
                )
        if not all(text.strip() for text in (advice.default, *advice.by_reason.values())):
            yield place, "says nothing", "a sentence on what to do"


def _nearest_column(contract: c.Contract, name: str, known: list[str]) -> str:
    """A derived feature is told under a column of its own; otherwise the most similar name."""
    return f"use '{contract.told_as(name)}'" if name in contract.derived else formula.nearest(name, known)


def _candidates(contract: c.Contract) -> Iterator[Problem]:
    names = [candidate.name for candidate in contract.candidates]
    for name in _repeated(names):
        yield "candidates", f"two candidates are named '{name}'", ""
    for candidate in contract.candidates:
        place = f"candidates.{candidate.name}"
        if bool(candidate.estimator) == bool(candidate.ensemble):
            yield place, "needs either 'class' or 'ensemble'", ""
        for member in candidate.members:
            if member not in names or member == candidate.name:
                yield place, f"unknown member '{member}'", formula.nearest(member, names)
        if bool(candidate.ensemble) != bool(candidate.members):
            yield place, "an ensemble names its members, and only an ensemble does", ""


def check_formulas(contract: c.Contract, where: str) -> dict[str, formula.Formula]:
    """Every derived feature's checked formula, in an order in which each needs only earlier ones."""
    scope: formula.Scope = {name: contract.labels(name) or _number(contract, name) for name in contract.features}
    parsed: dict[str, formula.Formula] = {}
    for name, derived in contract.derived.items():
        place = f"{where}, derived.{name}"
        parsed[name] = formula.parse(derived.formula or derived.flag or derived.bin, scope, place)
        wanted = "condition" if derived.flag else "number"
        if parsed[name].kind == "category" or (derived.flag and parsed[name].kind != wanted):
            raise UserError(
                f"'{parsed[name].text}' is not a {wanted}",
                where=place,
                remedy="flags are conditions, formulas and bins numbers",
            )
        if not parsed[name].names:
            raise UserError(f"'{parsed[name].text}' reads no column", where=place)
    return {name: parsed[name] for name in _ordered(parsed, where)}


def _number(contract: c.Contract, name: str) -> Literal["number", "flag"]:
    return "flag" if name in contract.derived and contract.derived[name].flag else "number"


def _ordered(parsed: dict[str, formula.Formula], where: str) -> list[str]:
    done: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise UserError(f"features need each other: {' -> '.join((*path, name))}", where=f"{where}, derived.{name}")
        if name in parsed and name not in done:
            for needed in sorted(parsed[name].names):
                visit(needed, (*path, name))
            done.append(name)

    for name in parsed:
        visit(name, ())
    return done
