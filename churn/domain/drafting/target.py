"""The target of a drafted contract: two values, and which of them means "left"."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn.domain import parsing
from churn.domain.contract import MISSING, Text
from churn.domain.drafting.profile import Column
from churn.domain.errors import UserError
from churn.domain.formula import nearest

_LEFT_WORDS = (
    "yes y true t 1 churn churned left leaver leaves lost exited cancelled canceled attrited closed gone terminated "
    "inactive quit ja oui si sí sim да tak"
)
_STAYED_WORDS = "no n false f 0 retained stayed stays active existing current kept loyal open nein non não нет nie"
_LEFT = frozenset({*_LEFT_WORDS.split(), "attrited customer"})
_STAYED = frozenset({*_STAYED_WORDS.split(), "existing customer", "not churned", "no churn"})
_SHOWN = 10


@dataclass(frozen=True)
class Target:
    """What is predicted, as the contract says it. Without a `negative`, every other value is one."""

    source: str
    positive: Text
    negative: Text | None
    unlabelled: int
    note: str

    def outcomes(self, sample: pa.Table) -> npt.NDArray[np.float64]:
        """1, 0 or NaN for each row of a sample."""
        values = parsing.comparable(parsing.present(parsing.values_of(sample, self.source), MISSING))
        positive = pc.equal(values, parsing.comparable(pa.array([self.positive]))[0])
        return np.asarray(positive.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def choose(column: Column, positive: str, where: str) -> Target:
    """The target in a column; an empty `positive` leaves the choice to what the values say, else to the rarer one.

    Raises UserError that lists the values when `positive` is none of them, or when without it they are not two."""
    place = f"{where}, column {column.source}"
    if column.values is None:
        raise UserError("has too many values for a target", where=place, remedy="name the column that says who left")
    groups = _alike(column.values)
    if len(groups) < 2:
        raise UserError(
            f"has fewer than two values ({_listed(groups)})", where=place, remedy="both outcomes are needed"
        )
    if not positive and len(groups) != 2:
        raise UserError(
            f"has {len(groups)} values: {_listed(groups)}", where=place, remedy="say which means left: --positive"
        )
    chosen, note = (_given(positive, groups, place), "") if positive else _guess(groups)
    others = [key for key in groups if key != chosen]
    if len(others) > 1:
        note = "every other value counts as stayed"
    typed = {key: _typed(column, key, values) for key, values in groups.items()}
    negative = typed[others[0]] if len(others) == 1 else None
    return Target(column.source, typed[chosen], negative, column.missing, note)


def _alike(values: Counter[str]) -> dict[str, Counter[str]]:
    """The values by the text they are compared by."""
    groups: dict[str, Counter[str]] = {}
    keys = parsing.comparable(pa.array(list(values), pa.string())).to_pylist()
    for key, (value, count) in zip(keys, values.items(), strict=True):
        groups.setdefault(key, Counter())[value] = count
    return groups


def _given(positive: str, groups: dict[str, Counter[str]], place: str) -> str:
    key = str(parsing.comparable(pa.array([positive]))[0])
    if key not in groups:
        known = [values.most_common(1)[0][0] for values in groups.values()]
        raise UserError(f"never is '{positive}'", where=place, remedy=nearest(positive, known))
    return key


def _guess(groups: dict[str, Counter[str]]) -> tuple[str, str]:
    left, stayed = ([key for key in groups if key in words] for words in (_LEFT, _STAYED))
    if len(left) == 1:
        return left[0], ""
    if len(stayed) == 1:
        return next(key for key in groups if key not in stayed), ""
    rarer = min(groups, key=lambda key: (groups[key].total(), key))
    return rarer, "guessed: the rarer of the two values means left"


def _typed(column: Column, key: str, values: Counter[str]) -> Text:
    if pa.types.is_boolean(column.type):
        return key == "true"
    try:
        number = float(key)
    except ValueError:
        return values.most_common(1)[0][0]
    return int(number) if number.is_integer() else number


def _listed(groups: dict[str, Counter[str]]) -> str:
    shown = [values.most_common(1)[0][0] for values in groups.values()]
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(f"'{value}'" for value in shown[:_SHOWN]) + more
