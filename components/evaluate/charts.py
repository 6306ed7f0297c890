"""Where things lie in a chart; how they look is the template's business."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]

WIDTH, HEIGHT = 360, 280
LEFT, RIGHT, TOP, BOTTOM = 58, 22, 14, 44


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`, with ticks at round values; `percent` writes .25 as 25 %."""

    label: str
    low: float
    high: float
    percent: bool = False

    @property
    def ticks(self) -> list[float]:
        """About five round values within the axis (steps of 1, 2 or 5 times a power of ten)."""
        span = self.high - self.low
        power = 10.0 ** math.floor(math.log10(span / 5))
        step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= 6)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(i * step, 10) + 0.0 for i in range(first, last + 1)]

    def text(self, value: float) -> str:
        """A tick's label."""
        return f"{100 * value:.0f}\N{NO-BREAK SPACE}%" if self.percent else f"{value:,.6g}"


@dataclass(frozen=True)
class Line:
    """A line by the name of its style: `main`, `other` or `reference`; `label` puts it into the legend."""

    style: str
    points: Sequence[Point]
    label: str = ""


@dataclass(frozen=True)
class Dot:
    """A point, with a whisker from `low` to `high`, and a label beside it."""

    style: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None
    label: str = ""


@dataclass(frozen=True)
class Chart:
    """A chart of lines and dots. `summary` says in words what it shows."""

    title: str
    summary: str
    x: Axis
    y: Axis
    lines: Sequence[Line] = ()
    dots: Sequence[Dot] = ()

    width, height, left, right, top, bottom = WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM

    def px(self, value: float) -> float:
        """Pixels from the left."""
        share = (value - self.x.low) / (self.x.high - self.x.low)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def py(self, value: float) -> float:
        """Pixels from the top; values outside the axis lie on its end."""
        share = (min(max(value, self.y.low), self.y.high) - self.y.low) / (self.y.high - self.y.low)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    def path(self, line: Line) -> str:
        """The line as an SVG polyline's points."""
        return " ".join(f"{self.px(x):g},{self.py(y):g}" for x, y in line.points)


def reach(values: Sequence[float]) -> tuple[float, float]:
    """An axis that holds the values and zero, with a little room above and below."""
    low, high = min(0.0, *values), max(0.0, *values)
    room = 0.12 * ((high - low) or 1.0)
    return (low - room if low < 0 else 0.0), high + room
