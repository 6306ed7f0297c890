"""Feast, imported without what its import does to the process: it switches warnings on, for everybody, for good."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    import feast
    from feast import data_format, errors, types
    from feast.data_source import DataSource
    from feast.infra import provider
    from feast.infra.registry import file as file_registry
    from feast.infra.registry import registry
    from feast.protos.feast.core.Registry_pb2 import Registry
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

__all__ = [
    "DataSource",
    "EntityKey",
    "Registry",
    "Value",
    "data_format",
    "errors",
    "feast",
    "file_registry",
    "provider",
    "registry",
    "types",
]
