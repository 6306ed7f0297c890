# ruff: noqa: T201 - it is run by hand, to be read
"""Batches side by side: `make bench-batch`, or BENCH="--quick" for fewer rows.

One model (200 trees of depth 5 on 30 columns), one table, the same number of threads. Each contestant has loaded its
model before the clock starts, and they take turns, so that a noisy machine is noisy for all. Wall time says what one
waits; CPU time says what it costs, and depends less on who else is at work."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from churn.domain import bundle as bundles
from components.score.advice import LEVELS
from tests.benchmarks.batch import breakdown, database, table
from tests.benchmarks.serving import model

ROOT = Path(__file__).resolve().parents[3]
OF_RAW, OF_NAIVE, MOST_MB, SLACK_MB = 0.4, 3.0, 1024, 100


@dataclass
class Contestant:
    """A process, and what it said of each round."""

    name: str
    process: subprocess.Popen[str]
    start: float
    rounds: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def begin(cls, name: str, folder: Path, rows: Path, threads: int) -> Contestant:
        command = [
            sys.executable,
            "-m",
            "tests.benchmarks.batch.contestants",
            name,
            str(folder),
            str(rows),
            str(threads),
        ]
        began = time.perf_counter()
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
        )
        found = cls(name, process, 0.0)
        found._heard()
        found.start = time.perf_counter() - began
        return found

    def score(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        self.rounds.append(self._heard())

    def end(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(60)

    def median(self, what: str) -> float:
        return statistics.median(one[what] for one in self.rounds)

    @property
    def peak_mb(self) -> int:
        return max(one["peak_mb"] for one in self.rounds)

    def _heard(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} has ended")
        return dict(json.loads(line))


def main() -> int:
    """Measures and prints; 1 when a bound is not kept."""
    options = _options()
    with TemporaryDirectory(prefix="churn-bench-") as temporary:
        folder = Path(temporary)
        trained = _prepare(folder)
        small = table.write(folder / "small.parquet", options.rows)
        print(f"model    {trained.describe()}")
        print(f"table    {options.rows:,} rows, {small.stat().st_size >> 20} MB of Parquet; {options.threads} threads")
        print(f"machine  {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
        kept = _speed(folder, small, options)
        print("-- what a row of ours costs, CPU us on one thread: the limits of each part")
        breakdown.measure(folder, small)
        large = table.write(folder / "large.parquet", options.rows * 10)
        kept &= _memory(folder, (small, options.rows), (large, options.rows * 10), options.threads)
        print("-- beside the clock: the table of scores, in one transaction")
        database.measure(folder, min(options.rows, 500_000))
    return 0 if kept else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-batch")
    parser.add_argument("--rows", type=int, default=1_000_000, help="and ten times as many for the memory")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--quick", action="store_true", help="200,000 rows, three rounds")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.rounds = 200_000, 3
    return options


def _prepare(folder: Path) -> model.Trained:
    trained = model.train(folder)
    manifest = bundles.load(trained.folder).manifest
    words = {level: trained.contract.advice(level).default for level in LEVELS}
    facts = {"low": manifest.risk[0], "high": manifest.risk[1], "words": words, "columns": list(trained.contract.raw)}
    (folder / "facts.json").write_text(json.dumps(facts))
    return trained


def _speed(folder: Path, small: Path, options: argparse.Namespace) -> bool:
    found = {name: Contestant.begin(name, folder, small, options.threads) for name in ("raw", "ours", "naive")}
    for number in range(options.rounds + 1):
        for one in found.values():
            one.score()
            if not number:
                one.rounds.clear()  # files are cached and threads there from then on
    for one in found.values():
        one.end()
    print(f"-- Parquet to Parquet, medians of {options.rounds} rounds; raw is the booster alone, in memory")
    print(f"{'':<8}{'rows/s':>12}{'CPU us/row':>12}{'peak MB':>10}{'start s':>10}")
    for name, one in found.items():
        speed, cost = options.rows / one.median("wall"), one.median("cpu") / options.rows * 1e6
        print(f"{name:<8}{speed:>12,.0f}{cost:>12.2f}{one.peak_mb:>10}{one.start:>10.1f}")
    kept = True
    for name, bound in (("raw", OF_RAW), ("naive", OF_NAIVE)):
        wall, cpu = (found[name].median(what) / found["ours"].median(what) for what in ("wall", "cpu"))
        kept &= wall >= bound
        told = f"{_said(wall >= bound)} (at least {bound})"
        print(f"ours against {name:<6} {wall:.2f} by wall time, {cpu:.2f} by CPU time {told}")
    return kept


def _memory(folder: Path, small: tuple[Path, int], large: tuple[Path, int], threads: int) -> bool:
    print("-- peak memory of a scoring process")
    peaks = []
    for path, rows in (small, large):
        one = Contestant.begin("ours", folder, path, threads)
        one.score()
        one.end()
        peaks.append(one.peak_mb)
        print(f"{rows:>12,} rows  {one.peak_mb} MB  {rows / one.rounds[0]['wall']:,.0f} rows/s")
    flat, small_enough = peaks[1] - peaks[0] <= SLACK_MB, max(peaks) <= MOST_MB
    print(f"below {MOST_MB} MB: {_said(small_enough)}; flat (within {SLACK_MB} MB): {_said(flat)}")
    return flat and small_enough


def _said(kept: bool) -> str:
    return "✓" if kept else "✗"


if __name__ == "__main__":
    sys.exit(main())
