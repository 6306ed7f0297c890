"""Feast, imported without what its import does to the process: it switches warnings on, for everybody, for good.

And without typeguard, with which Feast compiles its own classes a second time as they are imported: that takes nearly
half of the five seconds, and checks calls that mypy has checked."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typeguard


@contextmanager
def _unchecked() -> Iterator[None]:
    """`typechecked` leaves alone what it decorates, meanwhile: with arguments and without."""

    def plain(target: Any = None, **_: Any) -> Any:
        return (lambda found: found) if target is None else target

    checked: Callable[..., Any] = typeguard.typechecked
    typeguard.typechecked = plain
    try:
        yield
    finally:
        typeguard.typechecked = checked


with warnings.catch_warnings(), _unchecked():
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
