"""What ten years of a scenario come to: median and worst, beside what is asked of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

Year = dict[str, Any]
Figure = Callable[[Year], float | None]

HEADER = ("scenario", "figure", "median", "worst", "asked for", "")


def rows(scenario: str, years: Sequence[Year]) -> list[tuple[str, ...]]:
    """One row a figure of this scenario; nothing of another one is asked."""
    return [(scenario, name, *_row(figure, years)) for name, figure in FIGURES.get(scenario, GENERAL).items()]


class Asked:
    """A figure, which end of it is the worse one, and the bound it is held to (in the median, or in all years)."""

    def __init__(
        self, figure: Figure, *, at_least: float | None = None, at_most: float | None = None, always: bool = False,
        share: bool = False,
    ) -> None:  # fmt: skip
        self.figure, self.at_least, self.at_most, self.always, self.share = figure, at_least, at_most, always, share

    def said(self, value: float) -> str:
        return f"{100 * value:.0f} %" if self.share else f"{value:g}"

    def judged(self, values: Sequence[float]) -> tuple[str, str, str, str]:
        """Median, worst, the bound in words, and whether it is met."""
        low = self.at_least is not None
        worst = min(values) if low else max(values)
        median = statistics.median(values)
        held = worst if self.always else median
        bound = self.at_least if low else self.at_most
        if bound is None:
            return self.said(median), self.said(worst), "", ""
        words = f"at {'least' if low else 'most'} {self.said(bound)}{', always' if self.always else ''}"
        met = held >= bound if low else held <= bound
        return self.said(median), self.said(worst), words, "met" if met else "MISSED"


def _row(asked: Asked, years: Sequence[Year]) -> tuple[str, str, str, str]:
    """Of the years of which there is such a figure."""
    found = [value for year in years if (value := asked.figure(year)) is not None]
    return asked.judged(found) if found else ("", "", "", "")


def _kept(year: Year) -> float | None:
    """Nothing to share where blind retraining gained nothing."""
    return year["summary"]["kept"]


def _lost(year: Year) -> float | None:
    return year["summary"]["lost"]


def _retrainings(year: Year) -> float:
    return year["summary"]["retrainings"] / max(year["summary"]["blind_retrainings"], 1)


def _promotions(year: Year) -> float:
    return float(year["summary"]["promotions"])


def _waited(year: Year) -> float:
    """Months from the change to the first promotion after it; all that are left where there was none."""
    found = year["summary"]
    acted = found["acted"]["month"] if found["acted"] else len(year["months"])
    return float(acted - found["injected"]["month"])


def _alarmed(year: Year) -> float:
    """1 where the change raised an alarm in its own month."""
    found = year["summary"]
    return float(bool(found["seen"]) and found["seen"]["month"] == found["injected"]["month"])


def _false_alarms(year: Year) -> float:
    begins = year["summary"]["injected"]
    return float(len({one["month"] for one in year["alarms"] if not begins or one["month"] < begins["month"]}))


def _learned_from_the_bug(year: Year) -> float:
    """Months with broken values whose customers a model of ours was trained on."""
    begins = year["summary"]["injected"]["day"]
    return float(len({day for one in year["months"] for day in one["learned"] if day >= begins}))


LOST = {"profit lost by never retraining": Asked(_lost, at_least=0.10, share=True)}
WORTH = {
    "share of the blind one's gain that this one keeps": Asked(_kept, at_least=0.90, share=True),
    "its retrainings, of the blind one's": Asked(_retrainings, at_most=1 / 3, share=True),
}
PLAIN = {
    "retrainings, of the blind one's": Asked(_retrainings, share=True),
    "months with a false alarm": Asked(_false_alarms),
}
GENERAL = {
    **{name: Asked(one.figure, share=True) for name, one in (LOST | WORTH).items()},
    "months to act": Asked(_waited),
}
FIGURES: dict[str, dict[str, Asked]] = {
    "price-rise": {
        **LOST,
        **WORTH,
        "seen in its own month": Asked(_alarmed, at_least=1),
        "months to act": Asked(_waited),
    },
    "quiet": {"promotions": Asked(_promotions, at_most=1, always=True), **PLAIN},
    "data-bug": {
        "alarm in its own month": Asked(_alarmed, at_least=1, always=True),
        "broken months that were learned from": Asked(_learned_from_the_bug, at_most=0, always=True),
        "promotions": Asked(_promotions),
    },
}
