"""A training run on one screen."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from local import screen
from local.training import Training

SHOWN = ("roc_auc", "log_loss", "brier", "ece", "expected_profit")


def show(done: Training) -> None:
    """Prints the screen."""
    screen.out.print(screens(done))


def screens(done: Training) -> Group:
    """Rows, candidates, gate, verdict."""
    rows = f"{done.data['rows']:,} rows in, {done.data['quarantined']:,} quarantined"
    verdict = "[bold green]promoted[/]" if done.promoted else "[bold yellow]not promoted[/]"
    name, version = done.model["name"], done.model["version"]
    serves = (
        f"{name} version {version}, bundle {done.model['digest'][:12]}"
        if version
        else f"{name}, bundle {done.model['digest'][:12]}"
    )
    parts: list[RenderableType] = [
        Text.from_markup(f"[bold]data[/]      {rows}, snapshot {done.data['digest'][:12]}"),
        candidates(done.candidates),
        gate(done.gate),
        Text.from_markup(f"[bold]model[/]     {escape(serves)}: {verdict}"),
        Text.from_markup(f"[bold]reason[/]    {escape(done.reason)}"),
        Text.from_markup(f"[bold]report[/]    {escape(done.artifacts.get('evaluate.html', ''))}"),
    ]
    return Group(*parts)


def candidates(found: list[dict[str, Any]]) -> Table:
    """Every candidate's metrics over the folds, mean and deviation."""
    table = Table(
        title="candidates over the folds, mean ± deviation", title_justify="left", box=None, padding=(0, 2, 0, 0)
    )
    table.add_column("")
    for name in SHOWN:
        table.add_column(name, justify="right")
    for one in found:
        style = "bold green" if one["chosen"] else ""
        label = f"{one['name']} ← chosen" if one["chosen"] else one["name"]
        if one["note"]:
            table.add_row(label, one["note"], style="dim")
            continue
        cells = [f"{one['cv'][name]['mean']:.3f} ± {one['cv'][name]['std']:.3f}" for name in SHOWN]
        table.add_row(label, *cells, style=style)
    return table


def gate(checks: list[dict[str, Any]]) -> Table:
    """Every check with its value and bound."""
    table = Table(title="gate", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name, justify in (("", "left"), ("check", "left"), ("value", "right"), ("bound", "right"), ("", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for check in checks:
        mark = Text("✓", style="green") if check["passed"] else Text("✗", style="red")
        table.add_row(
            mark,
            check["check"],
            _number(check["value"]),
            _number(check["bound"]),
            Text(check.get("note", ""), style="dim"),
        )
    return table


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    return f"{value:.4g}"
