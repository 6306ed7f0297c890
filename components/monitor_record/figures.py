"""The page's charts: where things lie; how they look is the template's business."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass

from churn.domain.drift.verdict import Finding
from churn.domain.performance import Interval, Period, Standing
from components.evaluate.charts import Axis

WIDTH, HEIGHT = 460, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 12, 40
_SHOWN = 8
_WEEKLY = (("auc", "Ranking (AUC)"), ("brier", "Brier score"), ("profit", "Expected profit a customer"))


@dataclass(frozen=True)
class Bar:
    """A group's two bars: places from the left and heights from the floor, in pixels."""

    label: str
    x: float
    width: float
    before: float
    now: float


@dataclass(frozen=True)
class Bars:
    """Shares of reference and window by group."""

    title: str
    summary: str
    y: Axis
    bars: tuple[Bar, ...]

    width, height, left, right, top, bottom = WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM

    def py(self, value: float) -> float:
        """Pixels from the top."""
        return _py(self.y, value)


@dataclass(frozen=True)
class Mark:
    """A week's value with its interval, in pixels."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Series:
    """A version's weeks; `style` tells it apart."""

    version: int
    style: str
    marks: tuple[Mark, ...]
    promoted: float | None

    @property
    def path(self) -> str:
        """An SVG polyline's points."""
        return " ".join(f"{mark.x:g},{mark.y:g}" for mark in self.marks)


@dataclass(frozen=True)
class Weeks:
    """A measure by week of prediction."""

    title: str
    summary: str
    y: Axis
    ticks: tuple[tuple[float, str], ...]
    series: tuple[Series, ...]

    width, height, left, right, top, bottom = WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM

    def py(self, value: float) -> float:
        """Pixels from the top."""
        return _py(self.y, value)


def bars(finding: Finding) -> Bars:
    """One column's groups, in the reference and in the window."""
    groups = finding.groups
    top = 1.1 * max((max(one.reference, one.window) for one in groups), default=1.0)
    axis = Axis("share of customers", 0, top or 1.0, percent=True)
    step = (WIDTH - LEFT - RIGHT) / max(len(groups), 1)
    floor = HEIGHT - BOTTOM
    title = "The prediction" if finding.part == "prediction" else finding.name.replace("_", " ").capitalize()
    most = max(groups, key=lambda one: abs(one.window - one.reference), default=None)
    moved = f"{most.label}: {100 * most.reference:.1f} % before, {100 * most.window:.1f} % now" if most else ""
    return Bars(
        title=title,
        summary=f"Shares by group. The largest change is of {moved}." if moved else "No values.",
        y=axis,
        bars=tuple(
            Bar(_beginning(finding, one.label), round(LEFT + place * step, 1), round(step, 1),
                round(floor - _py(axis, one.reference), 1), round(floor - _py(axis, one.window), 1))
            for place, one in enumerate(groups)
        ),
    )  # fmt: skip


def _beginning(finding: Finding, label: str) -> str:
    """Where a span of numbers begins: where it ends stands below the next."""
    return re.sub(" to .*| and more", "", label) if finding.test == "kolmogorov-smirnov" else label


def shown(findings: Sequence[Finding]) -> list[Bars]:
    """Charts of the prediction, and of what has drifted, the largest effect first; no more than eight."""
    prediction = [one for one in findings if one.part == "prediction"]
    drifted = sorted((one for one in findings if one.drifted and one.part == "feature"), key=lambda one: -one.effect)
    return [bars(one) for one in (prediction + drifted)[:_SHOWN]]


def weekly(periods: Sequence[Period], standing: Sequence[Standing]) -> list[Weeks]:
    """A chart for each measure that some week has."""
    promoted = {(one.version, one.measure): one.promoted for one in standing}
    found = []
    for measure, title in _WEEKLY:
        judged = [one for one in periods if one.week is not None and getattr(one, measure) is not None]
        if judged:
            found.append(_weeks(measure, title, judged, promoted))
    return found


def _weeks(measure: str, title: str, judged: list[Period], promoted: dict[tuple[int, str], float]) -> Weeks:
    values: list[Interval] = [getattr(one, measure) for one in judged]
    versions = sorted({one.version for one in judged})
    bounds = [promoted[version, measure] for version in versions if (version, measure) in promoted]
    low, high = min([*(one.low for one in values), *bounds]), max([*(one.high for one in values), *bounds])
    room = 0.1 * ((high - low) or 1.0)
    axis = Axis(title, low - room, high + room)
    days = sorted({one.week for one in judged if one.week})
    first, last = days[0], days[-1]

    def px(day: dt.date) -> float:
        share = (day - first).days / ((last - first).days or 1)
        inner = WIDTH - LEFT - RIGHT - 40
        return round(LEFT + 20 + (share * inner if last > first else inner / 2), 1)

    series = []
    for place, version in enumerate(versions):
        own = [(one.week, getattr(one, measure)) for one in judged if one.version == version and one.week]
        marks = tuple(
            Mark(px(day), *(_py(axis, value) for value in (it.value, it.low, it.high))) for day, it in sorted(own)
        )
        bound = promoted.get((version, measure))
        series.append(Series(version, ("main", "other", "third")[place % 3], marks, bound))
    every = max(1, -(-len(days) // 6))
    newest = judged[-1]
    return Weeks(
        title=title,
        summary=f"By week; version {newest.version} has {getattr(newest, measure).value:.3f} in the last.",
        y=axis,
        ticks=tuple((px(day), f"{day.day} {day:%b}") for day in days[::every]),
        series=tuple(series),
    )


def _py(axis: Axis, value: float) -> float:
    share = (min(max(value, axis.low), axis.high) - axis.low) / ((axis.high - axis.low) or 1.0)
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)
