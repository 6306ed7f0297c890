"""The serving benchmark: the naive peer, stock KServe, MLServer and this project's predictor, side by side.

All answer with one model, and have to agree on its probabilities. They are loaded in turn, in short bursts and several
rounds, so that what disturbs the machine disturbs all alike; a ratio is the median over the rounds."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from rich.console import Console

from tests.benchmarks.serving import limits, loaders, model, ours, report, results
from tests.benchmarks.serving.contestants import Customers, Disagreement
from tests.benchmarks.serving.peers import pipeline as peers
from tests.benchmarks.serving.results import Results
from tests.benchmarks.serving.run import FULL, QUICK, Length, Run
from tests.benchmarks.serving.scenarios import NAMES
from tests.benchmarks.serving.servers import Servers

CUSTOMERS = 2000


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 whatever was measured; 1 when a server is wrong, 2 when something to install is missing."""
    given = _parser().parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 130)
    lacking = loaders.missing()
    if lacking:
        console.print(lacking)
        return 2
    begun = time.monotonic()
    try:
        found = _run(given.only or NAMES, QUICK if given.quick else FULL, whole=not given.only)
    except Disagreement as error:
        console.print(f"stopped: {error}")
        return 1
    report.show(console, found)
    console.print(f"took {(time.monotonic() - begun) / 60:.1f} minutes")
    if given.out:
        document = {**asdict(found), "targets": [{**asdict(one), "met": one.met} for one in results.targets(found)]}
        given.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0


def _run(wanted: Sequence[str], length: Length, *, whole: bool) -> Results:
    """Everything, or the wanted scenarios alone."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="churn-bench-")))
        _tell("training")
        trained = model.train(folder)
        pipeline = peers.load(trained.pipeline)
        rows = model.customers(CUSTOMERS, seed=5)
        customers = Customers(rows, lambda rows: pipeline.predict_proba(pd.DataFrame(rows))[:, 1].tolist())
        _tell("filling Redis, migrating PostgreSQL")
        production = stack.enter_context(ours.production(folder / "home", trained, customers.by_id))
        found = Results(trained.describe(), datetime.now(UTC).isoformat(timespec="seconds"), machine=results.machine())
        found.notes += production.missing
        servers = stack.enter_context(Servers(folder, trained, production))
        if whole:
            _tell("timing starts")
            for _ in range(length.starts):
                found.imports_s.append(limits.import_s())
                found.starts_s.append(servers.time_start())
        _tell("starting servers")
        servers.start()
        found.absent |= servers.absent
        run = Run(length, servers, trained, production, customers, found, _tell)
        run.scenarios(wanted)
        if whole:
            run.limits()
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.serving", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter bursts, fewer rounds, not one at a time")
    parser.add_argument("--only", action="append", choices=NAMES, help="this scenario alone; may be given again")
    parser.add_argument("--out", type=Path, help="file for everything that was measured, as JSON")
    return parser


def _tell(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)  # noqa: T201 - for who waits


if __name__ == "__main__":
    sys.exit(main())
