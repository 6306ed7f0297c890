"""Valid rows to features: cleaned columns and derived features, as files that Feast's views read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from churn.domain import encoding
from churn.domain.contract import Contract
from churn.domain.derivation import Derivation
from churn.domain.errors import UserError
from churn.domain.parsing import TIMESTAMP
from churn.stores import objects
from churn.stores.digests import digest_of_folder
from churn.stores.settings import Settings
from feature_repo import names, registration

BATCH_ROWS = 100_000


class Transformed(msgspec.Struct, frozen=True):
    """Where the features lie (a folder in the object store), and how many rows they have."""

    features: str
    rows: int
    labelled: int


def transform(  # noqa: PLR0913 - what, where to, and of which kind
    settings: Settings, contract: Contract, valid: Path, entities: Path, as_of: str, *, logged: bool = False
) -> Transformed:
    """Derives features of the `valid` rows in bounded memory, stores them, and registers the contract's views on them.

    Writes `entities`: key, event timestamp and target of every row whose label was known at `as_of` (ISO 8601): in a
    table with timestamps, rows whose horizon had passed by then. Nothing that serves changes. `logged` rows are the
    prediction log's, whose features have a project of their own.
    Raises UserError that names feature, column and row when a formula has no finite value."""
    with tempfile.TemporaryDirectory() as folder:
        rows = _write_features(contract, valid, Path(folder))
        key = f"features/{contract.digest[:12]}/{digest_of_folder(Path(folder))}"
        address = objects.open_store(settings).put_folder(Path(folder), key)
    registration.apply(settings, contract, address, logged=logged)
    labelled = _write_entities(contract, valid, entities, datetime.fromisoformat(as_of))
    return Transformed(address, rows, labelled)


def features_of(contract: Contract, derivation: Derivation, table: pa.Table, first_row: int = 1) -> pa.Table:
    """All features of typed rows: the columns with constants filled in, then the derived ones."""
    matrix = derivation.run(encoding.encode(contract, table), first_row)
    return encoding.decode(contract, matrix, contract.features)


def _write_features(contract: Contract, valid: Path, folder: Path) -> int:
    index = [names.key(contract), names.EVENT_TIMESTAMP]
    parts = {"raw.parquet": [*index, *contract.raw]}
    if contract.derived:
        parts["derived.parquet"] = [*index, *contract.derived]
    rows = 0
    with ExitStack() as stack:
        writers: dict[str, pq.ParquetWriter] = {}
        for table in _feature_batches(contract, valid):
            rows += table.num_rows
            for file, columns in parts.items():
                part = table.select(columns)
                if file not in writers:
                    writers[file] = stack.enter_context(
                        pq.ParquetWriter(folder / file, part.schema, compression="zstd")
                    )
                writers[file].write_table(part)
    return rows


def _feature_batches(contract: Contract, valid: Path) -> Iterator[pa.Table]:
    derivation = Derivation(contract)
    row = 1
    for batch in pq.ParquetFile(valid).iter_batches(BATCH_ROWS):
        table = pa.Table.from_batches([batch])
        features = features_of(contract, derivation, table, row)
        for name in (names.EVENT_TIMESTAMP, names.key(contract)):
            features = features.add_column(0, name, table[name])
        yield features
        row += table.num_rows


def _write_entities(contract: Contract, valid: Path, entities: Path, as_of: datetime) -> int:
    columns = [names.key(contract), names.EVENT_TIMESTAMP, contract.target.column]
    table = pq.read_table(valid, columns=columns).drop_null()
    if contract.event_timestamp:
        known = as_of - timedelta(days=contract.target.horizon_days)
        table = table.filter(pc.less_equal(table[names.EVENT_TIMESTAMP], pa.scalar(known, TIMESTAMP)))
        if not table.num_rows:
            problem = (
                f"no row is {contract.target.horizon_days} days older than {as_of:%Y-%m-%d}, so no label is known yet"
            )
            raise UserError(
                problem, where=f"column {contract.event_timestamp.column}", remedy="a later --as-of, or older rows"
            )
    entities.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, entities, compression="zstd")
    return int(table.num_rows)
