"""Numbers as people read them."""

from __future__ import annotations

import math


def number(value: float | None) -> str:
    """Three decimals, fewer for large values, more for tiny ones: 12,345; 83.1; 8.1; 0.846; 0.0041; 2.1e-07."""
    if value is None or math.isnan(value):
        return "not a number"
    size = abs(value)
    if size >= 1:
        return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.3g}"
    return f"{value:.3f}" if size >= 0.01 else f"{value:.2g}"


def decimals(value: float) -> int:
    """How many decimals show two digits of a value, three at least."""
    return max(3, 1 - math.floor(math.log10(abs(value)))) if value else 3


def spread(mean: float | None, deviation: float | None) -> str:
    """Mean and deviation with as many decimals as each other: 0.850 ± 0.015; 0.0068 ± 0.0005."""
    if mean is None or deviation is None or not math.isfinite(mean + deviation):
        return number(mean)
    places = min(decimals(mean), 4)
    return f"{mean:.{places}f} ± {deviation:.{places}f}"


def apart(value: float | None, bound: float) -> tuple[str, str]:
    """Both as text, with decimals enough to tell them apart."""
    short, limit = number(value), f"{bound:g}"
    if value is None or value == bound or short != number(bound):
        return short, limit
    return f"{value:.6g}", limit


def at_least(value: float | None, bound: float, unit: str = "") -> str:
    """A clause like "0.71 is below 0.78"."""
    short, limit = apart(value, bound)
    verb = "is at least" if value is not None and value >= bound else "is below"
    return f"{short}{unit} {verb} {limit}{unit}"


def at_most(value: float | None, bound: float, unit: str = "") -> str:
    """A clause like "8.1 ms is above 2 ms"."""
    short, limit = apart(value, bound)
    verb = "is at most" if value is not None and value <= bound else "is above"
    return f"{short}{unit} {verb} {limit}{unit}"
