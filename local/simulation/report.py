"""A simulated year on one screen."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from local import screen
from local.simulation.accounts import SYSTEMS, Month
from local.simulation.run import Year
from local.simulation.words import auc, moment, money, percent


def tell(month: Month) -> None:
    """A month as it has gone by, on stderr."""
    scores = ", ".join(f"{words} {money(month.scores[name].profit)}" for name, words in SYSTEMS.items())
    refused = f", {month.refused:,} refused" if month.refused else ""
    screen.tell(f"month {month.month:2}, {month.day:%d %b %Y}: {month.leavers:,} leave{refused}; profit: {scores}")
    screen.tell(f"          {month.because}{f'; {month.reason}' if month.reason else ''}")


def show(year: Year) -> None:
    """Prints the table and what there is to say about it."""
    screen.out.print(Group(*_parts(year)))


def _parts(year: Year) -> list[RenderableType]:
    found = year.summary
    lines = [
        ("scenario", f"{year.scenario}, seed {year.seed}, {year.customers:,} customers, steps run by {year.executor}"),
        ("injected", "nothing" if found.injected is None else moment(found.injected)),
    ]
    if found.injected:
        lines += [("seen", moment(found.seen)), ("acted upon", moment(found.acted))]
    lines += [
        (
            "retrainings",
            f"{found.retrainings}, of which {found.promotions} promoted; blindly {found.blind_retrainings}",
        ),
        ("worth", _worth(year)),
        ("KFP tasks", f"{len(year.tasks)}, from {year.tasks[0]} to {year.tasks[-1]}"),
        ("took", f"{year.seconds:.0f} s"),
        *((name, path) for name, path in year.artifacts.items()),
    ]
    told = [Text.from_markup(f"[bold]{name:<12}[/]{escape(words)}") for name, words in lines]
    return [_table(year), *told]


def _worth(year: Year) -> str:
    found = year.summary
    if found.injected is None:
        return "nothing changed: in what the three differ is chance"
    if found.lost is None:
        return "nothing was gained by anybody"
    kept = "" if found.kept is None else f"; this one has {percent(found.kept)} of what blind retraining gains"
    return f"never retraining costs {percent(found.lost)} of the profit that blind retraining makes{kept}"


def _table(year: Year) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("month")
    for name in ("leave", "refused"):
        table.add_column(name, justify="right")
    for what in ("AUC", "profit"):
        for words in ("never", "blind", "ours"):
            table.add_column(f"{what} {words}", justify="right")
    table.add_column("what the loop did")
    for one in year.months:
        scores = [one.scores[name] for name in SYSTEMS]
        table.add_row(
            f"{one.day:%b}", f"{one.leavers:,}", f"{one.refused:,}" if one.refused else "",
            *(auc(score.auc) for score in scores), *(money(score.profit) for score in scores), _did(one),
        )  # fmt: skip
    table.add_row("year", *[""] * 5, *(money(year.summary.profit[name]) for name in SYSTEMS), "", style="bold")
    return table


def _did(month: Month) -> str:
    if month.promoted:
        return f"retrained: version {month.promoted}"
    if month.retrained:
        return "retrained: no better"
    return "saw a change, and waits" if "but" in month.because else ""
