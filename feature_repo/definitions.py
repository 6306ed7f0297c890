"""The contract as Feast objects: one entity, a source and a view of raw and of derived features, one service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pyarrow as pa

from churn.domain.contract import Contract
from churn.domain.encoding import feature_type
from feature_repo import names
from feature_repo.quiet import data_format, feast, types

_TYPES = {pa.int64(): types.Int64, pa.float64(): types.Float64, pa.string(): types.String}


def define(contract: Contract, source: str) -> list[Any]:
    """All that Feast registers for a contract over the files in `source`, a folder or s3:// address.

    A contract that derives nothing has no view of derived features."""
    views = [_view(contract, names.raw_view(contract), contract.raw, names.raw_source(source), online=True)]
    if contract.derived:
        name, path = names.derived_view(contract), names.derived_source(source)
        views.append(_view(contract, name, tuple(contract.derived), path, online=False))
    service = feast.FeatureService(
        name=names.service(contract),
        features=list(views),
        description=contract.description,
        tags=_tags(contract),
    )
    return [_entity(contract), *views, service]


def _entity(contract: Contract) -> feast.Entity:
    kind = _TYPES[names.key_type(contract)].to_value_type()
    return feast.Entity(name=names.key(contract), join_keys=[names.key(contract)], value_type=kind)


def _view(contract: Contract, name: str, features: Sequence[str], path: str, *, online: bool) -> feast.FeatureView:
    source = feast.FileSource(
        name=name,
        path=path,
        file_format=data_format.ParquetFormat(),
        timestamp_field=names.EVENT_TIMESTAMP,
        field_mapping={feature: names.field(feature) for feature in features if names.field(feature) != feature},
    )
    key = feast.Field(name=names.key(contract), dtype=_TYPES[names.key_type(contract)])
    return feast.FeatureView(
        name=name,
        entities=[_entity(contract)],
        ttl=timedelta(days=contract.ttl_days),
        schema=[key, *(_field(contract, feature) for feature in features)],
        source=source,
        online=online,
        tags=_tags(contract),
    )


def _field(contract: Contract, feature: str) -> feast.Field:
    described = contract.columns[feature] if feature in contract.columns else contract.derived[feature]
    return feast.Field(
        name=names.field(feature),
        dtype=_TYPES[feature_type(contract, feature)],
        description=described.description,
        tags={"unit": described.unit} if described.unit else {},
    )


def _tags(contract: Contract) -> dict[str, str]:
    return {"contract": contract.name, "digest": contract.digest}
