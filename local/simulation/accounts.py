"""What a year was worth: each month by the true outcomes of all customers, each system by what it decided."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from churn.domain import decision, metrics
from churn.domain.contract import Costs

Vector = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

System = Literal["never", "blind", "ours"]
SYSTEMS: dict[System, str] = {"never": "never retrained", "blind": "retrained blindly", "ours": "this one"}

AlarmKind = Literal["drift", "performance", "unjudged", "refused rows"]


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """A system in a month: `profit` of all its decisions; `auc` is null where too few were answered for one."""

    auc: float | None
    profit: float
    contacted: int


class Alarm(msgspec.Struct, frozen=True):
    """Something that people are told of."""

    month: int
    day: dt.date
    kind: AlarmKind
    text: str


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """A month of the year. `version` answered in it; then, at the end of `as_of`, the loop ran.

    `because` is why a model was trained or not, `reason` what came of it, `learned` the days of the predictions that it
    was trained on; `tasks` are the KFP tasks that ran."""

    month: int
    day: dt.date
    customers: int
    leavers: int
    refused: int
    version: int
    scores: dict[System, Score]
    as_of: dt.date
    retrained: bool
    because: str
    outcome: str
    reason: str
    promoted: int | None
    learned: tuple[dt.date, ...]
    monitoring: str
    tasks: tuple[str, ...]


class Moment(msgspec.Struct, frozen=True):
    """A month of the year, and the day."""

    month: int
    day: dt.date


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The year in a few figures. `lost` is the share of the blind one's profit that never retraining costs, `kept` the
    share of what blind retraining gains over that which this system has too; null where there is nothing to share."""

    profit: dict[System, float]
    lost: float | None
    kept: float | None
    injected: Moment | None
    seen: Moment | None
    acted: Moment | None
    retrainings: int
    promotions: int
    blind_retrainings: int


def score(left: Vector, probability: Vector, contacted: Mask, costs: Costs) -> Score:
    """A month's figures by who `left` (n,), NaN where nobody learns it: such customers cost their contact no less.

    `probability` (n,) is NaN of customers without an answer, who are not contacted."""
    judged = ~np.isnan(left) & ~np.isnan(probability)
    y = left[judged]
    auc = metrics.roc_auc(y, probability[judged]) if 0 < y.sum() < len(y) else None
    worth = decision.profits(np.nan_to_num(left), contacted, costs)
    return Score(auc=auc, profit=float(worth.sum()), contacted=int(contacted.sum()))


def summary(months: Sequence[Month], alarms: Sequence[Alarm], injected: int | None, blind_retrainings: int) -> Summary:
    """The year's sums; what was seen and acted upon counts from the month of the injection on."""
    profit: dict[System, float] = {name: sum(one.scores[name].profit for one in months) for name in SYSTEMS}
    since = [one for one in months if injected is not None and one.month >= injected]
    gain = profit["blind"] - profit["never"]
    return Summary(
        profit=profit,
        lost=gain / profit["blind"] if profit["blind"] > 0 else None,
        kept=(profit["ours"] - profit["never"]) / gain if gain > 0 else None,
        injected=Moment(since[0].month, since[0].day) if since else None,
        seen=_first((one.month, one.day) for one in alarms if since and one.month >= since[0].month),
        acted=_first((one.month, one.as_of) for one in since if one.promoted),
        retrainings=sum(one.retrained for one in months),
        promotions=sum(one.promoted is not None for one in months),
        blind_retrainings=blind_retrainings,
    )


def _first(moments: Iterable[tuple[int, dt.date]]) -> Moment | None:
    return next((Moment(*one) for one in moments), None)
