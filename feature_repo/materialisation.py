"""Filling the online store with what is known of each entity; never older values over newer ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa

from churn.domain.contract import Contract
from churn.stores.settings import Settings
from feature_repo import names

if TYPE_CHECKING:
    from feature_repo.quiet import feast

BATCH = 1_000
"""Entities that are compared and written at once. Each batch is whole or not there, also after a crash."""

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Materialised(msgspec.Struct, frozen=True):
    """Entities whose values were written, and those that kept theirs because they are newer."""

    written: int
    kept: int


def materialise(
    settings: Settings, contract: Contract, as_of: datetime, expected_source: str | None = None
) -> Materialised:
    """Writes each entity's latest raw values at or before `as_of` (naive is UTC) to the online store.

    An entity whose stored values have a later event timestamp keeps them; SQLite holds timestamps to the second. The
    view is readable all the time. Feast's own `materialize` would overwrite newer values, and leave a view that
    refuses to be read when it is killed. Raises UserError when the registry does not hold the contract or a value is
    an integer beyond 2^53, ConflictError when the views read other files than those in `expected_source`."""
    from feature_repo import store
    from feature_repo.locks import online_lock
    from feature_repo.registration import registered

    as_of = as_of if as_of.tzinfo else as_of.replace(tzinfo=UTC)
    opened = store.open_store(settings, names.project(contract))
    view = registered(settings, opened, contract, expected_source).raw
    latest = _latest(opened, view, contract, as_of)
    with online_lock(settings):
        batches = (latest.slice(start, BATCH) for start in range(0, latest.num_rows, BATCH))
        written = sum(_write(opened, view, contract, batch) for batch in batches)
    with store.registry_lock(settings):
        reopened = store.open_store(settings, names.project(contract))
        reopened.registry.apply_materialization(view, reopened.project, _BEGINNING, as_of)
    return Materialised(written=written, kept=latest.num_rows - written)


def _latest(opened: feast.FeatureStore, view: feast.FeatureView, contract: Contract, as_of: datetime) -> pa.Table:
    from feature_repo.values import refuse_inexact

    assert view.batch_source is not None
    job = opened.provider.offline_store.pull_latest_from_table_or_query(
        config=opened.config,
        data_source=view.batch_source,
        join_key_columns=[names.key(contract)],
        feature_name_columns=list(contract.raw),
        timestamp_field=names.EVENT_TIMESTAMP,
        created_timestamp_column=None,
        start_date=_BEGINNING,
        end_date=as_of,
    )
    latest = job.to_arrow()
    refuse_inexact(latest, [names.field(column) for column in contract.raw])
    return latest


def _write(opened: feast.FeatureStore, view: feast.FeatureView, contract: Contract, batch: pa.Table) -> int:
    """Writes the rows that are not older than what is stored; gives their number."""
    from feature_repo.values import rows

    offered = rows(contract, batch)
    stored = opened.provider.online_read(opened.config, view, [row[0] for row in offered], [view.features[0].name])
    fresh = [row for row, (stamp, _) in zip(offered, stored, strict=True) if stamp is None or stamp <= row[2]]
    if fresh:
        opened.provider.online_write_batch(opened.config, view, fresh, None)
    return len(fresh)
