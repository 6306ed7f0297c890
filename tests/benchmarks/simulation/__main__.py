# ruff: noqa: T201 - it is run by hand, to be read
"""Many simulated years: `make bench-simulation`, or BENCH="--scenario quiet --seeds 3".

A year takes some two minutes on two cores, all of them an hour; what is done stands in `--out`, a JSON a year, and is
not done again. Steps are called in one process (`--executor direct`); `--executor kfp` runs them through KFP."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from churn.stores.settings import Settings
from tests.benchmarks.simulation import table

ROOT = Path(__file__).resolve().parents[3]
SCENARIOS = ("price-rise", "quiet", "data-bug")


def main() -> None:
    asked = _asked()
    asked.out.mkdir(parents=True, exist_ok=True)
    for seed in range(1, asked.seeds + 1):  # all scenarios of a seed, so that a table can be read early
        for scenario in asked.scenario:
            if not asked.table:
                _live(asked, scenario, seed)
    print(markdown(asked.out, asked.scenario, asked.seeds))


def markdown(out: Path, scenarios: list[str], seeds: int) -> str:
    """The table that stands in the README, of the years that are done."""
    lines = ["| " + " | ".join(table.HEADER) + " |", "|---|---|--:|--:|---|---|"]
    for scenario in scenarios:
        years = [_read(file) for seed in range(1, seeds + 1) if (file := _file(out, scenario, seed)).exists()]
        named = f"{scenario} ({len(years)} years)"
        lines += ["| " + " | ".join((named, *row[1:])) + " |" for row in (table.rows(scenario, years) if years else [])]
    return "\n".join(lines)


def _live(asked: argparse.Namespace, scenario: str, seed: int) -> None:
    file = _file(asked.out, scenario, seed)
    if file.exists():
        return
    folder = asked.out / f"{scenario}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)  # of a year that was interrupted
    print(f"{scenario}, seed {seed}", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "local.main", "simulate", "--scenario", scenario, "--seed", str(seed)]
    command += ["--customers", str(asked.customers), "--months", str(asked.months), "--out", str(folder)]
    subprocess.run([*command, "--executor", asked.executor], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    part = file.with_suffix(".part")
    shutil.copyfile(folder / "year.json", part)
    part.replace(file)
    shutil.rmtree(folder / "home")  # half a gigabyte a year; the picture and the page stay


def _file(out: Path, scenario: str, seed: int) -> Path:
    return out / f"{scenario}-{seed}.json"


def _read(file: Path) -> Any:
    return json.loads(file.read_bytes())


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-simulation", description=__doc__)
    parser.add_argument("--scenario", action="append", help="one of them; may be repeated (default all three)")
    parser.add_argument("--seeds", type=int, default=10, help="seeds 1 to SEEDS (default 10)")
    parser.add_argument("--customers", type=int, default=5_000)
    parser.add_argument("--months", type=int, default=12)
    parser.add_argument("--executor", default="direct", choices=("direct", "kfp"))
    parser.add_argument("--table", action="store_true", help="only print what is done")
    parser.add_argument("--out", type=Path, help="folder of the years (default simulations/benchmark in CHURN_HOME)")
    asked = parser.parse_args()
    asked.scenario = asked.scenario or list(SCENARIOS)
    asked.out = asked.out or Settings.load().home / "simulations" / "benchmark"
    return asked


if __name__ == "__main__":
    main()
