"""What monitoring found as one HTML page: no scripts, nothing fetched from elsewhere, light and dark."""

from __future__ import annotations

from components.evaluate.words import number
from components.monitor_record import figures
from components.monitor_record.step import Recorded
from components.pages import template

_TITLES = {"drifted": "Something has drifted", "quiet": "Nothing has drifted", "unjudged": "Not judged"}


def render(found: Recorded) -> str:
    """The whole page."""
    page = template(__file__, "page.html.j2", number=number, percent=percent, p_value=p_value)
    judged = found.judgement
    findings = sorted(judged.drift.findings, key=lambda one: (not one.drifted, one.part == "feature", -one.effect))
    return page.render(
        found=judged,
        facts=judged.facts,
        since=found.since,
        title=_TITLES[judged.drift.status],
        findings=findings,
        largest=max([judged.facts.bounds.effect * 2, *(one.effect for one in findings)]),
        charts=figures.shown(judged.drift.findings),
        weeks=figures.weekly(judged.periods, judged.standing),
        totals=[one for one in judged.periods if one.week is None],
    )


def percent(share: float | None, digits: int = 1) -> str:
    """.2537 as 25.4 %."""
    return "\N{EN DASH}" if share is None else f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def p_value(value: float) -> str:
    """Three decimals, or that it is less than what they show."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
