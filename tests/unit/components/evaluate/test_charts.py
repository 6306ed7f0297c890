from __future__ import annotations

import pytest

from components.evaluate.charts import HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, Chart, Line, reach


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 0.93, [0, 0.2, 0.4, 0.6, 0.8]),
        (-120, 4300, [0, 1000, 2000, 3000, 4000]),
        (0, 1e-3, [0, 0.0002, 0.0004, 0.0006, 0.0008, 0.001]),
        (-7000, 0, [-6000, -4000, -2000, 0]),
    ],
)
def test_ticks_are_round_and_inside(low: float, high: float, ticks: list[float]) -> None:
    assert Axis("x", low, high).ticks == ticks


def test_ticks_are_labelled_as_shares_or_amounts() -> None:
    assert Axis("x", 0, 1, percent=True).text(0.2) == "20\N{NO-BREAK SPACE}%"
    assert Axis("x", 0, 1).text(4000) == "4,000"
    assert Axis("x", 0, 1).text(-0.5) == "-0.5"


def test_the_origin_lies_at_the_lower_left_and_the_ends_at_the_upper_right() -> None:
    chart = Chart("t", "s", Axis("x", 0, 1), Axis("y", -10, 10))

    assert chart.px(0) == LEFT
    assert chart.px(1) == WIDTH - RIGHT
    assert chart.py(10) == TOP
    assert chart.py(-10) == HEIGHT - chart.bottom
    assert chart.py(99) == TOP, "what lies beyond the axis is drawn at its end"
    assert chart.path(Line("main", [(0, -10), (1, 10)])) == f"{LEFT},{HEIGHT - chart.bottom} {WIDTH - RIGHT},{TOP}"


@pytest.mark.parametrize(("values", "low", "high"), [([1, 100], 0, 112), ([-100, -50], -112, 12), ([0, 0], 0, 0.12)])
def test_an_axis_holds_its_values_and_zero(values: list[float], low: float, high: float) -> None:
    assert reach(values) == (pytest.approx(low), pytest.approx(high))
