"""A batch run on one screen."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from local import screen
from local.batch import Batch

_FAULTS = 5


def show(done: Batch) -> None:
    """Prints the screen."""
    screen.out.print(screens(done))


def warn(done: Batch) -> None:
    """Says beside the result that applications go on reading other scores than these, or can read others no more."""
    if newer := done.database["newer"]:
        problem = f"{newer:,} customers have scores of a later date than {done.as_of} in the table scores"
        screen.tell(f"warning: {problem}, which were kept")
    if done.replaced:
        screen.tell(f"warning: the scores of {done.replaced} lay there, and are replaced; --out keeps two tables apart")


def screens(done: Batch) -> Group:
    """Rows, risk, profit, what has changed, where it lies."""
    found = done.summary
    rows = f"{found['rows']:,} rows in, {found['quarantined']:,} set aside, {done.shards} shards"
    parts: list[RenderableType] = [
        _line("data", rows),
        *(_line("", f"{fault['column']} {fault['problem']}: {fault['rows']:,}") for fault in found["faults"][:_FAULTS]),
        _line("model", f"{found['model']} version {found['version']}, as of {found['as_of']}"),
        _risk(found),
        _line("contact", f"{found['contacted']:,} customers from probability {found['threshold']:.3f} on"),
        _line("profit", _profit(found)),
        *([_line("before", _before(found["comparison"]))] if found["comparison"] else []),
        _line("scores", done.scores),
        _line("table", _table(done.database)),
        _line("report", done.artifacts["report"]),
    ]
    return Group(*parts)


def _line(name: str, text: str) -> Text:
    return Text.from_markup(f"[bold]{name:<9}[/] {escape(text)}")


def _table(counts: dict[str, int]) -> str:
    told = (("newer", "kept because a newer score is there"), ("removed", "removed who are in the data no more"))
    more = (f", {counts[name]:,} {words}" for name, words in told if counts[name])
    return f"scores: {counts['written']:,} customers written{''.join(more)}"


def _risk(found: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("risk", "customers", "share", "mean probability"):
        table.add_column(name, justify="left" if name == "risk" else "right")
    for one in found["risk"]:
        table.add_row(one["level"], f"{one['customers']:,}", f"{one['share']:.1%}", f"{one['mean_probability']:.3f}")
    return table


def _profit(found: dict[str, Any]) -> str:
    tenth = next(one for one in found["top"] if one["share"] >= 0.1 or one is found["top"][-1])
    best = found["best"]
    return f"{tenth['profit']:,.0f} expected of the top tenth; at best {best['profit']:,.0f} of {best['customers']:,}"


def _before(than: dict[str, Any]) -> str:
    moved = f"mean probability {than['mean_before']:.3f} then, {than['mean_now']:.3f} now"
    return f"{than['as_of']}: {than['both']:,} customers in both, {than['new']:,} new, {than['gone']:,} gone; {moved}"
