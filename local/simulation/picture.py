"""The year as a picture: profit and AUC by month of the three systems, and where something happened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from local.simulation.accounts import SYSTEMS, System
from local.simulation.words import money

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from local.simulation.run import Year

INK, SOFT, GRID = "#1f2933", "#7b8794", "#e4e7eb"
COLOURS: dict[System, str] = {"never": "#9aa5b1", "blind": "#c8553d", "ours": "#1f5f8b"}
WIDTHS: dict[System, float] = {"never": 2.0, "blind": 2.0, "ours": 2.8}


def draw(year: Year, file: Path) -> None:
    """Writes a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 7.2), layout="constrained")
    profit, auc = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    title = f"A year of “{year.scenario}”, month by month"
    profit.set_title(f"{title}\n", loc="left", fontsize=15, color=INK, fontweight="bold")
    told = f"{year.customers:,} customers, seed {year.seed}; judged by what became of everyone"
    profit.text(0, 1.03, told, transform=profit.transAxes, fontsize=10, color=SOFT)
    _lines(profit, year, "profit")
    _lines(auc, year, "auc")
    profit.set_ylabel("profit of the month (USD)", color=INK)
    profit.yaxis.set_major_formatter(lambda value, _: money(value))
    profit.axhline(0, color=SOFT, linewidth=1, zorder=1)
    auc.set_ylabel("AUC", color=INK)
    auc.set_xticks([one.month for one in year.months], [f"{one.day:%b}" for one in year.months])
    for axes in (profit, auc):
        _plain(axes)
        _happenings(axes, year)
    _say(profit, year)
    profit.legend(loc="upper left", frameon=False, labelcolor=INK, fontsize=10)
    figure.savefig(file, format="png", dpi=144, facecolor="white")


def _lines(axes: Axes, year: Year, what: Literal["profit", "auc"]) -> None:
    months = [one.month for one in year.months]
    for name, words in SYSTEMS.items():
        values = [getattr(one.scores[name], what) for one in year.months]
        drawn = [float("nan") if value is None else value for value in values]
        label = f"{words}: {money(year.summary.profit[name])}" if what == "profit" else None
        axes.plot(
            months, drawn, color=COLOURS[name], linewidth=WIDTHS[name], marker="o", markersize=4, label=label, zorder=3
        )


def _happenings(axes: Axes, year: Year) -> None:
    """When the world changed, and each promotion, as lines; a promotion takes effect with the next month."""
    found = year.summary
    if found.injected:
        axes.axvline(found.injected.month, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), zorder=2)
    for one in year.months:
        if one.promoted:
            axes.axvline(one.month + 0.1, color=COLOURS["ours"], linewidth=1.2, linestyle=(0, (1, 2)), zorder=2)
        elif one.retrained:
            axes.axvline(one.month + 0.1, color=GRID, linewidth=1.2, zorder=1)


def _say(axes: Axes, year: Year) -> None:
    """Words beside the lines, below the top of the picture where the legend leaves room."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.42 * (high - low))
    marks = [(one.month + 0.1, f"version {one.promoted}", COLOURS["ours"]) for one in year.months if one.promoted]
    if year.summary.injected:
        marks.append((year.summary.injected.month, "the world changes", INK))
    for place, (x, words, colour) in enumerate(sorted(marks)):
        height = 0.03 + 0.06 * (place % 2)
        axes.annotate(
            words, (x, height), xycoords=("data", "axes fraction"), xytext=(5, 0), textcoords="offset points",
            color=colour, fontsize=9, zorder=4, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip


def _plain(axes: Axes) -> None:
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0)
    for side in axes.spines.values():
        side.set_visible(False)
