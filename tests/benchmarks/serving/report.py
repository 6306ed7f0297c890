"""Results for people: tables of ratios to the naive peer, the targets, the limits, the machine."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table

from tests.benchmarks.serving.limits import CONNECTIONS
from tests.benchmarks.serving.measure import Measured
from tests.benchmarks.serving.results import Results, Series, Target, targets
from tests.benchmarks.serving.run import PACED_CONNECTIONS
from tests.benchmarks.serving.scenarios import NAIVE, WORKERS


def show(console: Console, results: Results) -> None:
    """The whole report."""
    for series in results.series:
        console.print(_table(series))
    for part in (_paced, _limits, _life, _proof, _around):
        for line in part(results):
            console.print(line, highlight=False, soft_wrap=True)
    console.print(_targets(list(targets(results))))


def _table(series: Series) -> Table:
    naive = series.measured[NAIVE]
    table = Table(
        "",
        title=f"{series.title}, {series.connections} at once",
        title_justify="left",
        caption="x naive: how many times better than the naive peer, the median over rounds",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for heading in ("requests/s", "x naive", "CPU µs", "x naive", "p50 ms", "p99 ms", "x naive", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, its in series.measured.items():
        failed = f"{its.failed} FAILED" if its.failed else ""
        table.add_row(name, *_figures(its, naive), failed)
    return table


def _figures(its: Measured, naive: Measured) -> Iterator[str]:
    yield f"{its.median('rate'):,.0f}"
    yield f"{its.times(naive, 'rate'):.1f}"
    yield f"{its.median('cpu_us'):,.0f}"
    yield f"{naive.times(its, 'cpu_us'):.1f}"
    yield f"{its.median('p50_ms'):.2f}"
    yield f"{its.median('p99_ms'):.2f}"
    yield f"{naive.times(its, 'p99_ms'):.1f}"


def _paced(results: Results) -> Iterator[str]:
    if results.paced:
        yield f"[bold]Paced at half of the saturation ({PACED_CONNECTIONS} connections, independent requests)[/bold]"
    for one in results.paced:
        rate, p50, p99 = (
            statistics.median(getattr(b, name) for b in one.bursts) for name in ("rate", "p50_ms", "p99_ms")
        )
        yield f"  {one.contestant}: {rate:,.0f} of {one.wanted:,.0f} requests/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms"


def _limits(results: Results) -> Iterator[str]:
    if not results.limits:
        return
    yield f"[bold]Limits, {CONNECTIONS} at once: CPU µs of an empty answer to the same request + the work alone[/bold]"
    measured = {
        (name, series.size): its.median("cpu_us")
        for series in results.series
        if series.connections == CONNECTIONS and series.scenario != WORKERS
        for name, its in series.measured.items()
    }
    for one in results.limits:
        named = f"  {one.path}, {one.size:,} at a time: {one.empty.cpu_us:,.0f} + {one.work_us:,.0f}"
        named += f" = {one.cpu_us:,.0f} µs (an empty answer {one.empty.rate:,.0f} times a second)"
        its = measured.get((one.path, one.size))
        yield named + (f"; it takes {its:,.0f} µs, {its / one.cpu_us:.1f} times the limit" if its else "")
    if results.cache:
        cache = results.cache
        word = "faster" if cache.faster else "not faster, so there is none"
        yield f"  a prediction cache in Redis: a hit {cache.hit_us:,.0f} µs, the model {cache.model_us:,.0f} µs: {word}"


def _life(results: Results) -> Iterator[str]:
    yield "[bold]Memory and start[/bold]"
    for name, sizes in results.memory_mb.items():
        if not name.startswith("empty"):
            yield f"  {name}: resident MB of each process: {', '.join(f'{size:,.0f}' for size in sizes)}"
    if results.starts_s:
        ours, alone = statistics.median(results.starts_s), statistics.median(results.imports_s)
        yield f"  ours is ready after {ours:.2f} s; importing kserve and onnxruntime alone takes {alone:.2f} s"


def _proof(results: Results) -> Iterator[str]:
    yield "[bold]Was it all on, and all right?[/bold]"
    if results.differences:
        place, worst = max(results.differences.items(), key=lambda found: found[1])
        yield f"  probabilities differ from the pipeline's own by {worst:.1g} at most ({place}), before and after"
    for counts in results.counts:
        said = ", ".join(
            f"{name.removeprefix('churn_')} {value:,.0f}"
            for name, value in sorted(counts.said.items())
            if name
            in {
                "churn_predictions_total",
                "churn_log_rows",
                "churn_log_written_rows_total",
                "churn_log_lost_rows_total",
            }
        )
        yield f"  {counts.server}: loaders count {counts.asked:,} customers; its metrics say: {said or 'nothing'}"
    yield f"  rows of the prediction log in the database at the end: {results.logged_rows:,}"


def _around(results: Results) -> Iterator[str]:
    yield "[bold]Around it[/bold]"
    yield f"  model: {results.model}"
    machine = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    yield f"  {machine['cores']} cores of {machine['cpu']}, {machine['memory_gb']} GB, {machine['system']}"
    yield f"  Python {machine['python']}, {versions}; {', '.join(machine['loaders'])}"
    yield "  loaders, PostgreSQL (without fsync) and Redis share the cores; CPU is that of a server's processes alone"
    for note in results.notes:
        yield f"  {note}"
    for name, reason in results.absent.items():
        yield f"  [bold]not measured:[/bold] {name}: {reason.splitlines()[0] if reason else 'no reason given'}"


def _targets(found: list[Target]) -> Table:
    table = Table("", title="Targets", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("measured", "target", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in found:
        sign = "≥" if one.at_least else "≤"
        verdict = "[green]met[/green]" if one.met else "[red]not met[/red]"
        table.add_row(one.words, f"{one.measured:,.2f}", f"{sign} {one.bound:g}", verdict)
    return table
