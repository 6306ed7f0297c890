"""What there is to say of a batch: numbers that its manifest, its artifact and its page hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn.domain.contract import Costs
from components.score.advice import LEVELS
from components.score.plan import Fault

_BINS = 20_000
SHOWN = 40
"""Bars of the histogram that people see."""
COUNTED = ("probability", "decision", "risk", "recommendation")
"""The columns of scores that are counted."""
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)

Vector = npt.NDArray[np.float64]


class AtRisk(msgspec.Struct, frozen=True):
    """The customers of one level."""

    level: str
    customers: int
    share: float
    mean_probability: float


class Contacting(msgspec.Struct, frozen=True):
    """What contacting the `customers` with the highest probabilities is expected to bring, all in all.

    `from_probability` is that of the last of them."""

    customers: int
    share: float
    profit: float
    from_probability: float


class Moved(msgspec.Struct, frozen=True):
    """Customers of both runs that were at one level and are at another, or at the same."""

    before: str
    now: str
    customers: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Against the run before: customers of both, of one only, and how their probabilities changed.

    `risk` are the former run's shares by level; `mean_change` and `mean_absolute_change` are over customers of both."""

    as_of: str
    version: int
    both: int
    new: int
    gone: int
    mean_before: float
    mean_now: float
    mean_change: float
    mean_absolute_change: float
    risk: dict[str, float]
    moved: tuple[Moved, ...]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A batch run in numbers. `bounds` are where medium and high risk begin; `histogram` counts probabilities in equal
    steps from 0 to 1, `curve` is the expected profit by the share of customers contacted."""

    model: str
    version: int
    digest: str
    as_of: str
    source: str
    rows: int
    scored: int
    quarantined: int
    faults: tuple[Fault, ...]
    mean_probability: float
    contacted: int
    threshold: float
    bounds: tuple[float, float]
    risk: tuple[AtRisk, ...]
    recommendations: dict[str, int]
    histogram: tuple[int, ...]
    top: tuple[Contacting, ...]
    best: Contacting
    curve: tuple[tuple[float, float], ...]
    costs: Costs
    comparison: Comparison | None = None


@dataclass
class Tally:
    """Add every table of scores once; then read. Memory is that of a histogram."""

    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(_BINS, np.int64))
    sums: Vector = field(default_factory=lambda: np.zeros(_BINS))
    by_level: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(LEVELS), np.int64))
    sum_by_level: Vector = field(default_factory=lambda: np.zeros(len(LEVELS)))
    contacted: int = 0
    recommendations: dict[str, int] = field(default_factory=dict)

    def add(self, table: pa.Table) -> None:
        """A table with the columns of `COUNTED`."""
        p = np.asarray(table["probability"].to_numpy(), np.float64)
        bins = np.minimum((p * _BINS).astype(np.int64), _BINS - 1)
        self.counts += np.bincount(bins, minlength=_BINS)
        self.sums += np.bincount(bins, p, _BINS)
        level = pc.index_in(table["risk"].cast(pa.string()), pa.array(LEVELS)).to_numpy()
        self.by_level += np.bincount(level, minlength=len(LEVELS))
        self.sum_by_level += np.bincount(level, p, len(LEVELS))
        self.contacted += pc.sum(table["decision"]).as_py() or 0
        for one in pc.value_counts(table["recommendation"].cast(pa.string())).to_pylist():
            words = one["values"]
            self.recommendations[words] = self.recommendations.get(words, 0) + one["counts"]

    @property
    def rows(self) -> int:
        """Rows added."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        """The mean probability."""
        return round(float(self.sums.sum() / max(1, self.rows)), 6)

    def risk(self) -> tuple[AtRisk, ...]:
        """Each level."""
        return tuple(
            AtRisk(level, int(count), round(count / max(1, self.rows), 6), round(total / max(1, count), 6))
            for level, count, total in zip(LEVELS, self.by_level.tolist(), self.sum_by_level.tolist(), strict=True)
        )

    def histogram(self) -> tuple[int, ...]:
        """Counts in `SHOWN` equal steps."""
        return tuple(self.counts.reshape(SHOWN, -1).sum(axis=1).tolist())

    def most_frequent(self) -> dict[str, int]:
        """Recommendations, the most frequent first."""
        return dict(sorted(self.recommendations.items(), key=lambda one: (-one[1], one[0])))

    def top(self, share: float, costs: Costs) -> Contacting:
        """The riskiest `share` of the rows, at least one."""
        return self._contacting(max(1, round(share * self.rows)), costs)

    def best(self, costs: Costs) -> Contacting:
        """The number of rows whose contact brings most; none where each costs more than it brings."""
        worth = np.cumsum(self._worth(costs)[::-1])
        place = int(worth.argmax())
        if worth[place] <= 0:
            return Contacting(0, 0.0, 0.0, 1.0)
        return self._contacting(int(np.cumsum(self.counts[::-1])[place]), costs)

    def _worth(self, costs: Costs) -> Vector:
        return np.asarray(costs.success * costs.value * self.sums - costs.contact * self.counts, np.float64)

    def _contacting(self, count: int, costs: Costs) -> Contacting:
        """Within a step of the fine histogram (.00005) rows count as alike."""
        reached = np.cumsum(self.counts[::-1])
        place = int(np.searchsorted(reached, count))
        within = self.counts[::-1][place]
        above = float(np.cumsum(self._worth(costs)[::-1])[place])
        part = self._worth(costs)[::-1][place] * (reached[place] - count) / within
        lowest = self.sums[::-1][place] / within
        share = round(count / self.rows, 6)
        return Contacting(count, share, round(float(above - part), 2), round(float(lowest), 5))


def figures(tally: Tally, costs: Costs) -> dict[str, Any]:
    """What a summary has of the scores themselves, by field."""
    return {
        "mean_probability": tally.mean,
        "contacted": tally.contacted,
        "risk": tally.risk(),
        "recommendations": tally.most_frequent(),
        "histogram": tally.histogram(),
        "top": tuple(tally.top(share, costs) for share in SHARES),
        "best": tally.best(costs),
        "curve": curve(tally, costs),
    }


def recounted(found: Summary, tally: Tally, rows: int) -> Summary:
    """The summary of what is left when rows were erased: `rows` in all, those of `tally` scored.

    Faults and the comparison with the run before stay what they were on the day of the run."""
    counts = {"rows": rows, "scored": tally.rows, "quarantined": rows - tally.rows}
    return msgspec.structs.replace(found, **counts, **figures(tally, found.costs))


def curve(tally: Tally, costs: Costs) -> tuple[tuple[float, float], ...]:
    """Expected profit by the share contacted, from nobody to everybody."""
    shares = (step / SHOWN for step in range(1, SHOWN + 1))
    return ((0.0, 0.0), *((one.share, one.profit) for one in (tally.top(share, costs) for share in shares)))
