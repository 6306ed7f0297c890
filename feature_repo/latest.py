"""What the offline store knows of each entity at a time: its latest row, in batches."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from churn.domain.contract import Contract
from churn.domain.encoding import feature_type
from churn.stores.settings import Settings
from feature_repo import names


def latest(settings: Settings, contract: Contract, as_of: datetime, batch_rows: int = 65_536) -> Iterator[pa.Table]:
    """Entity key, event timestamp and the contract's columns of each entity, in the order of the keys.

    An entity's row is its latest at or before `as_of` (naive is UTC), where that is no older than the contract's TTL:
    whom nobody has seen since is not known any more. Raises UserError when the registry does not hold the contract."""
    from feature_repo import store
    from feature_repo.registration import registered

    as_of = as_of if as_of.tzinfo else as_of.replace(tzinfo=UTC)
    opened = store.open_store(settings, names.project(contract))
    view = registered(settings, opened, contract, None).raw
    assert view.batch_source is not None
    job: Any = opened.provider.offline_store.pull_latest_from_table_or_query(
        config=opened.config,
        data_source=view.batch_source,
        join_key_columns=[names.key(contract)],
        feature_name_columns=list(contract.raw),
        timestamp_field=names.EVENT_TIMESTAMP,
        created_timestamp_column=None,
        start_date=as_of - timedelta(days=contract.ttl_days),
        end_date=as_of,
    )
    wanted = pa.schema(
        [
            (names.key(contract), names.key_type(contract)),
            (names.EVENT_TIMESTAMP, pa.timestamp("us", tz="UTC")),
            *((name, feature_type(contract, name)) for name in contract.raw),
        ]
    )
    fields = [names.key(contract), names.EVENT_TIMESTAMP, *map(names.field, contract.raw)]
    for batch in job.table.order_by(names.key(contract)).to_pyarrow_batches(chunk_size=batch_rows):
        table = pa.Table.from_batches([batch]).select(fields).rename_columns(wanted.names)
        yield table.cast(wanted)
