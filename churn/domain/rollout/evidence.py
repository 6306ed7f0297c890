"""What the log and the outcomes say: each customer once, judged when the label horizon has passed."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from churn.domain import decision
from churn.domain.contract import Costs
from churn.domain.performance import DAY_US, LEAVER, PENDING, Predictions, states
from churn.domain.rollout import sequential
from churn.domain.rollout.sequential import Interval

Mask = npt.NDArray[np.bool_]
Vector = npt.NDArray[np.float64]

_MISDIVIDED = 1000.0


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """`customers` were first asked about since the challenger began, `challenged` of them met it (in the shadow all
    did), `judged` have an outcome, and `pending` have none yet. `first_due` is when the first can be judged, in
    microseconds since 1970.

    `profit` and `brier` are what the challenger is better by, a customer: in what its decisions brought, and in the
    squared error of its probabilities. `misdivided` says that the two groups cannot be compared."""

    customers: int
    challenged: int
    judged: int
    pending: int
    first_due: int | None = None
    misdivided: bool = False
    profit: Interval | None = None
    brier: Interval | None = None


@dataclass(frozen=True)
class Rules:
    """What outcomes are judged by: the champion's costs and label horizon, and the chance of error."""

    costs: Costs
    horizon_days: int
    level: float


def split(first: Predictions, challenged: Mask, share: float, rules: Rules, as_of: int) -> Evidence:
    """Two groups of customers: `first` holds the first prediction (n,) of each since the challenger began, in the order
    of time; `challenged` says who met the challenger, as each does with the probability `share`.

    Customers who had left before they were asked about count for nothing. That contacting changes what becomes of a
    customer counts as in all of the log's figures: by the contract's `success`, not by what was seen."""
    kept = ~((first.left_at <= first.at) & (first.left_at >= 0))
    state = states(first, rules.horizon_days, as_of)
    judged = kept & (state != PENDING)
    met = int(challenged[kept].sum())
    found = Evidence(
        customers=int(kept.sum()),
        challenged=met,
        judged=int(judged.sum()),
        pending=int((kept & ~judged).sum()),
        first_due=_due(first, kept, rules),
        misdivided=0 < share < 1 and sequential.misdivided(met, int(kept.sum()), share) >= _MISDIVIDED,
    )
    if not 0 < share < 1 or not judged.any():
        return found
    y = (state[judged] == LEAVER).astype(np.float64)
    worth = decision.profits(y, first.contacted[judged], rules.costs)
    error = -((first.probability[judged] - y) ** 2)

    def compared(values: Vector, width: float) -> Interval | None:
        effects = sequential.effects(values, challenged[judged], share)
        return sequential.interval(effects, sequential.effect_scale(width, share), rules.level)

    return msgspec.structs.replace(found, profit=compared(worth, _width(rules.costs)), brier=compared(error, 1.0))


def shadow(answered: Predictions, shadows: Predictions, rules: Rules, as_of: int) -> Evidence:
    """The same customers (n,) by the champion's answers and by the challenger's copies of the same requests."""
    kept = ~((answered.left_at <= answered.at) & (answered.left_at >= 0))
    state = states(answered, rules.horizon_days, as_of)
    judged = kept & (state != PENDING)
    found = Evidence(
        customers=int(kept.sum()),
        challenged=int(kept.sum()),
        judged=int(judged.sum()),
        pending=int((kept & ~judged).sum()),
        first_due=_due(answered, kept, rules),
    )
    if not judged.any():
        return found
    y = (state[judged] == LEAVER).astype(np.float64)
    worth = [decision.profits(y, one.contacted[judged], rules.costs) for one in (shadows, answered)]
    error = [(one.probability[judged] - y) ** 2 for one in (answered, shadows)]
    return msgspec.structs.replace(
        found,
        profit=sequential.interval(worth[0] - worth[1], _width(rules.costs), rules.level),
        brier=sequential.interval(error[0] - error[1], 1.0, rules.level),
    )


def _width(costs: Costs) -> float:
    """How far apart two customers' profits can be: nothing, a contact for nothing, a contact that pays."""
    ends = (0.0, -costs.contact, costs.success * costs.value - costs.contact)
    return max(ends) - min(ends)


def _due(predictions: Predictions, kept: Mask, rules: Rules) -> int | None:
    at = predictions.at[kept]
    return int(at.min()) + rules.horizon_days * DAY_US if len(at) else None
