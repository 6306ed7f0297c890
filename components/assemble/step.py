"""Assembling: a decision in, the rows to train on out, typed as validation types them, with their snapshot."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from churn.domain.contract import Contract
from churn.domain.errors import UserError
from churn.domain.retraining import Decision
from churn.stores import files, objects
from churn.stores.addresses import redacted
from churn.stores.digests import sha256_of_file
from churn.stores.settings import Settings
from components.assemble import log
from components.files import write_json
from components.ingest import step as ingest
from components.validate import verdict
from components.validate.step import Table, examine, valid_schema
from feature_repo import names

LOG = "prediction log"
"""What the source is called in reports where it is no table."""


class Assembled(msgspec.Struct, frozen=True, kw_only=True):
    """The snapshot, and what is in it; `logged` rows stand under the log's pseudonyms.

    `rows`, `quarantined` and `duplicates` are as validation counts them, `valid` what can be trained on."""

    address: str
    digest: str
    source: str
    logged: bool
    rows: int
    valid: int
    quarantined: int = 0
    duplicates: int = 0


@dataclass(frozen=True)
class Wanted:
    """The rows of the window that `decision` names, with outcomes known at `as_of`: of the table at the address `data`,
    or of the prediction log where that is empty."""

    contract: Contract
    decision: Decision
    as_of: dt.datetime
    data: str = ""


@dataclass(frozen=True)
class Files:
    """Where valid rows, rows that were set aside, and the report go."""

    valid: Path
    quarantine: Path
    report: Path


def assemble(settings: Settings, wanted: Wanted, written: Files) -> Assembled:
    """Writes the rows of the decision's window: of the prediction log, or of the table at the address `data`.

    Raises UserError for a table that cannot be trained on, or a window without rows."""
    for path in (written.valid, written.quarantine, written.report):
        path.parent.mkdir(parents=True, exist_ok=True)
    found = (_from_table if wanted.data else _from_log)(settings, wanted, written)
    if not found.valid:
        problem = f"no row with a known outcome since {wanted.decision.since:%Y-%m-%d}"
        raise UserError(problem, where=found.source, remedy="load outcomes, or give a larger window")
    write_json(written.report, found)
    return found


def _from_log(settings: Settings, wanted: Wanted, written: Files) -> Assembled:
    contract = wanted.contract
    table = log.labelled(settings, contract, wanted.decision, wanted.as_of)
    pq.write_table(table, written.valid, compression="zstd")
    pq.write_table(table.slice(0, 0), written.quarantine)
    with files.staged(settings.home / ".staging") as temporary:
        sources = [name if name == names.EVENT_TIMESTAMP else contract.source_of(name) for name in table.column_names]
        pq.write_table(table.rename_columns(sources), temporary, compression="zstd")
        return _kept(settings, temporary, source=LOG, rows=table.num_rows, valid=table.num_rows)


def _from_table(settings: Settings, wanted: Wanted, written: Files) -> Assembled:
    contract, source = wanted.contract, redacted(wanted.data)
    with files.staged(settings.home / ".staging") as temporary:
        ingest.copy(settings, wanted.data, contract, temporary)
        table = Table(temporary, source, wanted.as_of.isoformat())
        report = examine(contract, table, written.valid, written.quarantine)
        verdict.refuse(contract, report)
        valid = _cut(contract, wanted.decision, written.valid) if contract.event_timestamp else report.valid
        seen = {name: getattr(report, name) for name in ("rows", "quarantined", "duplicates")}
        return _kept(settings, temporary, source=source, valid=valid, **seen)


def _kept(settings: Settings, file: Path, *, source: str, **seen: int) -> Assembled:
    digest = sha256_of_file(file)
    address = objects.open_store(settings).put_file(file, f"snapshots/{digest}.parquet")
    return Assembled(address=address, digest=digest, source=source, logged=source == LOG, **seen)


def _cut(contract: Contract, decision: Decision, valid: Path) -> int:
    """Leaves in `valid` the rows of the decision's window; gives their number."""
    rows, schema = 0, valid_schema(contract)
    with files.staged(valid.parent) as temporary:
        with pq.ParquetFile(valid) as file, pq.ParquetWriter(temporary, schema, compression="zstd") as kept:
            for batch in file.iter_batches():
                taken = decision.takes(batch[names.EVENT_TIMESTAMP].cast(pa.int64()).to_numpy())
                kept.write_batch(batch.filter(pa.array(taken)))
                rows += int(taken.sum())
        temporary.replace(valid)
    return rows
