"""The training set: labels joined with what was known of each entity at the time."""

from __future__ import annotations

import pyarrow as pa

from churn.domain.contract import Contract
from churn.domain.encoding import feature_type
from churn.stores.settings import Settings
from feature_repo import names

_ROW = "row"  # a name that no contract may give to a column


def training_set(
    settings: Settings,
    contract: Contract,
    entities: pa.Table,
    expected_source: str | None = None,
    *,
    logged: bool = False,
) -> pa.Table:
    """`entities` with the contract's features, raw and derived, as they were at each row's event timestamp.

    `entities` has the entity key, `event_timestamp` (timestamp[us, UTC]) and any columns more; all its rows come back,
    in their order. Features are the latest at or before the timestamp and within the TTL, null where there are none,
    typed as `encoding.feature_type` says; `logged` rows are the prediction log's (`names.project`). Raises UserError
    when the registry does not hold the contract or a feature holds an integer beyond 2^53, ConflictError when the views
    read other files than those in `expected_source`."""
    from feature_repo import store
    from feature_repo.registration import registered
    from feature_repo.values import refuse_inexact

    opened = store.open_store(settings, names.project(contract, logged=logged))
    service = registered(settings, opened, contract, expected_source).service
    asked = entities.select([names.key(contract), names.EVENT_TIMESTAMP])
    asked = asked.append_column(_ROW, pa.array(range(entities.num_rows), pa.int64()))
    joined = opened.get_historical_features(asked.to_pandas(), service).to_arrow().sort_by(_ROW)
    # The join reads the registry again: whoever has registered meanwhile has done so for good.
    registered(settings, opened, contract, expected_source)
    if joined[_ROW].to_pylist() != asked[_ROW].to_pylist():
        raise RuntimeError(f"Feast joined {entities.num_rows} entity rows to {joined.num_rows}")
    for name in contract.features:
        entities = entities.append_column(name, _typed(contract, name, joined[names.field(name)]))
    refuse_inexact(entities, contract.features)
    return entities


def _typed(contract: Contract, name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = feature_type(contract, name)
    if values.type != kind:
        raise TypeError(f"the source of feature {name} holds {values.type} where the contract says {kind}")
    return values
