"""A batch run as one HTML page: no scripts, nothing fetched from elsewhere, light or dark as the reader's screen is."""

from __future__ import annotations

from dataclasses import dataclass

from components.close_batch.step import Closed
from components.close_batch.summary import SHOWN, Comparison, Summary
from components.pages import template

WIDTH, HEIGHT = 460, 210
_LEFT, _RIGHT, _BOTTOM, _TOP = 52, 20, 30, 12


@dataclass(frozen=True)
class Bar:
    """A bar of the histogram, in pixels, and its level of risk."""

    x: float
    y: float
    width: float
    height: float
    level: str


@dataclass(frozen=True)
class Tick:
    """A place on an axis, in pixels, and what stands there."""

    at: float
    text: str


def render(done: Closed) -> str:
    """The whole page."""
    page = template(
        __file__, "report.html.j2", count=lambda n: f"{n:,.0f}", percent=percent, money=money, p=lambda p: f"{p:.3f}"
    )
    found = done.summary
    return page.render(
        done=done,
        found=found,
        bars=bars(found),
        heights=heights(found),
        steps=[Tick(_x(step / 5), f"{step / 5:.1f}") for step in range(6)],
        curve=curve(found),
        best=_x(found.best.share),
        gains=gains(found),
        shares=[Tick(_x(step / 5), f"{20 * step} %") for step in range(6)],
        matrix=matrix(found.comparison) if found.comparison else None,
        width=WIDTH,
        height=HEIGHT,
        left=_LEFT,
        right=WIDTH - _RIGHT,
        floor=HEIGHT - _BOTTOM,
    )


def bars(found: Summary) -> list[Bar]:
    """The histogram of probabilities, each bar in the colour of the level that its middle belongs to."""
    most = max(1, *found.histogram)
    medium, high = found.bounds
    drawn = []
    for place, count in enumerate(found.histogram):
        height = (HEIGHT - _BOTTOM - _TOP) * count / most
        middle = (place + 0.5) / SHOWN
        level = "high" if middle >= high else "medium" if middle >= medium else "low"
        start, end = _x(place / SHOWN), _x((place + 1) / SHOWN)
        drawn.append(
            Bar(start + 0.5, round(HEIGHT - _BOTTOM - height, 1), round(end - start - 1, 1), round(height, 1), level)
        )
    return drawn


def heights(found: Summary) -> list[Tick]:
    """The histogram's axis."""
    most = max(1, *found.histogram)
    return [Tick(_y(share), f"{most * share:,.0f}") for share in (0.0, 0.5, 1.0)]


def curve(found: Summary) -> str:
    """Expected profit by the share of customers contacted, riskiest first, as an SVG polyline's points."""
    points = sorted((*found.curve, (found.best.share, found.best.profit)))
    low, high = _span(found)
    return " ".join(f"{_x(share):g},{_y((profit - low) / (high - low)):g}" for share, profit in points)


def gains(found: Summary) -> list[Tick]:
    """The curve's axis."""
    low, high = _span(found)
    return [Tick(_y((value - low) / (high - low)), money(value)) for value in dict.fromkeys((low, 0.0, high))]


def matrix(found: Comparison) -> list[tuple[str, list[tuple[str, int, float]]]]:
    """For each level before: level now, customers, and their share of all."""
    levels = list(dict.fromkeys(one.before for one in found.moved))
    return [
        (
            level,
            [
                (one.now, one.customers, one.customers / max(1, found.both))
                for one in found.moved
                if one.before == level
            ],
        )
        for level in levels
    ]


def percent(share: float) -> str:
    """.2537 as 25.4 %."""
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def money(value: float) -> str:
    """Whole units, with their thousands."""
    return f"{value:,.0f}".replace("-", "\N{MINUS SIGN}")


def _span(found: Summary) -> tuple[float, float]:
    profits = [found.best.profit, *(profit for _, profit in found.curve)]
    low, high = min(profits), max(profits)
    return low, high if high > low else low + 1.0


def _x(share: float) -> float:
    return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)


def _y(share: float) -> float:
    return round(HEIGHT - _BOTTOM - share * (HEIGHT - _BOTTOM - _TOP), 1)
