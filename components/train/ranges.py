"""The ranges that `tune` gives, `[low, high]`, `{log: [low, high]}` or `{any: [a, b]}`, as Optuna's distributions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from churn.domain.errors import UserError

if TYPE_CHECKING:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    Numbers = IntDistribution | FloatDistribution
    Distribution = CategoricalDistribution | Numbers


def distribution(spec: Any, where: str) -> Distribution:
    """The distribution of a range; integers when both its ends are. Raises UserError for anything else."""
    from optuna.distributions import CategoricalDistribution

    match spec:
        case {"any": [_, *_] as choices} if len(spec) == 1:
            return CategoricalDistribution(choices)
        case {"log": [low, high]} if len(spec) == 1 and _is_range(low, high) and low > 0:
            return _numbers(low, high, log=True)
        case [low, high] if _is_range(low, high):
            return _numbers(low, high, log=False)
    remedy = "[low, high], {log: [low, high]} above zero, or {any: [a, b]}"
    raise UserError(f"'{spec}' is no range", where=where, remedy=remedy)


def _is_range(low: Any, high: Any) -> bool:
    return all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high)) and low < high


def _numbers(low: float, high: float, *, log: bool) -> Numbers:
    from optuna.distributions import FloatDistribution, IntDistribution

    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(float(low), float(high), log=log)


def contains(space: Distribution, value: Any) -> bool:
    """Whether a parameter's value lies in its range."""
    from optuna.distributions import CategoricalDistribution

    if isinstance(space, CategoricalDistribution):
        return value in space.choices
    return isinstance(value, int | float) and not isinstance(value, bool) and space.low <= value <= space.high


def spaced(space: Distribution, points: int) -> list[Any]:
    """Values from end to end: all of a choice, `points` of a range, evenly or in equal ratios."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    if isinstance(space, CategoricalDistribution):
        return list(space.choices)
    low, high = (math.log(space.low), math.log(space.high)) if space.log else (space.low, space.high)
    values = [low + (high - low) * i / (points - 1) for i in range(points)]
    values = [space.low, *(math.exp(value) if space.log else value for value in values[1:-1]), space.high]
    return sorted({round(value) for value in values}) if isinstance(space, IntDistribution) else values
