"""Feast's duckdb store over the object store: what lies on S3 is fetched (once, it never changes) and read locally.

Feast's own reads local files only: for an s3:// path its ibis backend downloads a duckdb extension at run time.
Both keep one duckdb connection for the whole process, so that its threads must join one after the other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import ibis
import pandas as pd
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, DuckDBOfflineStoreConfig
from feast.infra.offline_stores.ibis import get_historical_features_ibis, pull_latest_from_table_or_query_ibis
from feast.infra.offline_stores.offline_store import RetrievalJob

from churn.stores import objects
from feature_repo.quiet import DataSource, feast


class ObjectStoreOfflineStoreConfig(DuckDBOfflineStoreConfig):
    """Feast finds the store by `type`, and this by its name; `settings` say where S3 is."""

    type: str = "feature_repo.offline.ObjectStoreOfflineStore"
    settings: Any


class ObjectStoreOfflineStore(DuckDBOfflineStore):
    """Reads sources by their addresses, and gives columns the names that the views use (see `names.field`)."""

    @staticmethod
    def get_historical_features(  # type: ignore[override]  # noqa: PLR0913, PLR0917 - as Feast's own duckdb store
        config: feast.RepoConfig,
        feature_views: list[feast.FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str,
        registry: Any,
        project: str,
        full_feature_names: bool = False,  # noqa: FBT001, FBT002
        filter_by_created_timestamp: bool = False,  # noqa: FBT001, FBT002
    ) -> RetrievalJob:
        """The point-in-time join of Feast's duckdb store."""
        return get_historical_features_ibis(
            config=config,
            feature_views=feature_views,
            feature_refs=feature_refs,
            entity_df=entity_df,
            registry=registry,
            project=project,
            full_feature_names=full_feature_names,
            filter_by_created_timestamp=filter_by_created_timestamp,
            data_source_reader=_reader(config),
            data_source_writer=_refuse,
        )

    @staticmethod
    def pull_latest_from_table_or_query(  # noqa: PLR0913, PLR0917 - as Feast's own
        config: feast.RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """The latest row of each entity with a timestamp from `start_date` to `end_date`, both included."""
        mapping = data_source.field_mapping
        return pull_latest_from_table_or_query_ibis(
            config=config,
            data_source=data_source,
            join_key_columns=join_key_columns,
            feature_name_columns=[mapping.get(column, column) for column in feature_name_columns],
            timestamp_field=timestamp_field,
            created_timestamp_column=created_timestamp_column,
            start_date=start_date,
            end_date=end_date,
            data_source_reader=_reader(config),
            data_source_writer=_refuse,
        )


def _reader(config: feast.RepoConfig) -> Callable[[DataSource, str], ibis.Table]:
    def read(source: DataSource, _: str) -> ibis.Table:
        assert isinstance(source, feast.FileSource)
        path = objects.fetch(config.offline_store.settings, source.path)
        return ibis.read_parquet(path).rename({new: old for old, new in source.field_mapping.items()})

    return read


def _refuse(*_: object) -> None:
    raise NotImplementedError("sources are immutable: a run writes its own and registers them")
