"""A table of one's own: its contract drafted, and the table checked against one."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

from churn.domain.drafting import draft
from churn.domain.errors import UserError
from churn.stores import files
from churn.stores.settings import Settings
from components.ingest import sources
from components.ingest.step import as_of_time, copy
from components.validate.report import Report
from components.validate.step import Table, validate
from feature_repo import contracts

_SHOWN = 20


def write(table: Path, out: Path, *, target: str, key: str, positive: str, timestamp: str, name: str) -> str:  # noqa: PLR0913
    """Writes the draft of a contract to `out`; gives the lines that say what was left out, and what to do next.

    Raises UserError for a table or a column that cannot be used, and for an `out` that exists already."""
    if out.exists():
        raise UserError("is there already", where=str(out), remedy="remove it, or choose another --out")
    with closing(sources.read(Settings.load(), str(table))) as batches:
        text = draft(
            batches,
            target=target, key=key, positive=positive, timestamp=timestamp, name=name or out.stem, where=str(table),
        )  # fmt: skip
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(out, text.encode())
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}", where=str(out)) from error
    _, _, left_out = text.partition("# Left out:\n")
    return f"{out} is written. Left out: {left_out.replace('# ', '') or 'nothing'}".rstrip()


def check(table: str, contract: str) -> Report:
    """What ingest and validate say of the table; nothing is kept. Raises UserError for a table they would refuse."""
    settings = Settings.load()
    terms = contracts.resolve(settings, contract)
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder, "snapshot.parquet")
        copy(settings, table, terms, stored)
        seen = Table(stored, table, as_of_time(""))
        return validate(terms, seen, Path(folder, "valid.parquet"), Path(folder, "quarantine.parquet"))


def summary(report: Report) -> str:
    """The report in a few lines."""
    counts = f"{report.valid:,} valid, {report.quarantined:,} to quarantine, {report.duplicates:,} twice"
    lines = [f"{report.rows:,} rows: {counts}"]
    lines += [f"  {fault.source}: the value {fault.problem} in {fault.rows:,} rows" for fault in report.faults[:_SHOWN]]
    missing = [seen.source for seen in report.columns.values() if seen.mostly_missing]
    lines += [f"  {name}: more than half missing, left out of training" for name in missing]
    outcomes = report.outcomes
    lines.append(f"  {outcomes.positive:,} left, {outcomes.negative:,} stayed, {outcomes.unlabelled:,} unknown")
    return "\n".join(lines)
