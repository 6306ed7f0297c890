"""The steps of a run as they go by, on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from local import screen
from local.runner import StepEvent
from local.training import Listener

_MARKS = {"finished": "[green]✓[/]", "failed": "[red]✗[/]"}


@contextmanager
def steps(*, quiet: bool = False) -> Iterator[Listener]:
    """A listener that shows each step with its image and seconds; one that shows nothing when `quiet`."""
    if quiet:
        yield lambda _: None
        return
    view = _View()
    with Live(view.table(), console=screen.err, refresh_per_second=8, transient=False) as live:

        def listen(event: StepEvent) -> None:
            view.events[event.step] = event
            live.update(view.table())

        yield listen
    if not screen.err.is_terminal:  # where Live ends without a new line
        screen.err.print()


class _View:
    def __init__(self) -> None:
        self.events: dict[str, StepEvent] = {}

    def table(self) -> Table:
        grid = Table.grid(padding=(0, 1))
        for event in self.events.values():
            if event.kind == "started":
                mark, seconds = Spinner("dots"), Text("")
            else:
                mark, seconds = Text.from_markup(_MARKS[event.kind]), Text(f"{event.seconds:5.1f} s")  # type: ignore[assignment]
            role = event.image.rpartition("/")[2].partition(":")[0]
            grid.add_row(mark, Text(event.step, style="bold"), Text(role, style="dim"), seconds)
        return grid
