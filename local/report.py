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
    rows += f", {done.data['duplicates']:,} exact duplicates removed" if done.data["duplicates"] else ""
    verdict = "[bold green]promoted[/]" if done.promoted else "[bold yellow]not promoted[/]"
    name, version = done.model["name"], done.model["version"]
    serves = (
        f"{name} version {version}, bundle {done.model['digest'][:12]}"
        if version
        else f"{name}, bundle {done.model['digest'][:12]}"
    )
    parts: list[RenderableType] = [
        Text.from_markup(f"[bold]data[/]      {rows}, snapshot {done.data['digest'][:12]}"),
        Text("candidates over the folds, mean ±deviation", style="bold"),
        candidates(done.candidates),
        Text("gate", style="bold"),
        gate(done.gate),
        Text.from_markup(f"[bold]model[/]     {escape(serves)}: {verdict}"),
        Text.from_markup(f"[bold]reason[/]    {escape(done.reason)}"),
        Text.from_markup(f"[bold]report[/]    {escape(done.artifacts['report'])}"),
    ]
    return Group(*parts)


def candidates(found: list[dict[str, Any]]) -> Table:
    """Every candidate's metrics over the folds, mean and deviation."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("")
    table.add_column("candidate", no_wrap=True)
    for name in SHOWN:
        table.add_column(name.replace("expected_", ""), justify="right", no_wrap=True)
    for one in found:
        if one["note"]:
            table.add_row("-", f"{one['name']}: {one['note']}", style="dim")
            continue
        cells = [f"{one['cv'][name]['mean']:.3f} ±{one['cv'][name]['std']:.3f}" for name in SHOWN]
        table.add_row("✓" if one["chosen"] else "", one["name"], *cells, style="bold green" if one["chosen"] else "")
    return table


def gate(checks: list[dict[str, Any]]) -> Table:
    """Every check with its value and bound, and the answer in words where it failed."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("")
    table.add_column("check", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("bound", justify="right", no_wrap=True)
    table.add_column("")
    for check in checks:
        mark = Text("✓", style="green") if check["passed"] else Text("✗", style="red")
        note = Text("" if check["passed"] and check["value"] is not None else check["note"], style="dim")
        table.add_row(mark, check["check"], _number(check["value"]), _number(check["bound"]), note)
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
