"""Feast, imported without what its import does to the process: it switches warnings on, for everybody, for good."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    import feast
    from feast import data_format, errors, types
    from feast.infra.registry import file as file_registry
    from feast.infra.registry import registry
    from feast.protos.feast.core import Registry_pb2
    from feast.protos.feast.types import EntityKey_pb2, Value_pb2

__all__ = [
    "EntityKey_pb2",
    "Registry_pb2",
    "Value_pb2",
    "data_format",
    "errors",
    "feast",
    "file_registry",
    "registry",
    "types",
]
