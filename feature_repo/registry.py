"""Feast's registry in a file, made safe: written whole or not at all, and never invented by a reader."""

from __future__ import annotations

import uuid
from pathlib import Path

from google.protobuf.message import DecodeError

from churn.domain.errors import UserError
from churn.stores.addresses import redacted
from churn.stores.files import write_atomically
from churn.stores.settings import Settings
from feature_repo.quiet import Registry, file_registry, registry


class WholeFileRegistryStore(file_registry.FileRegistryStore):
    """Feast's own truncates the file before it writes, and takes a missing file for an empty registry."""

    def get_registry_proto(self) -> Registry:
        """The registry. Raises UserError when there is none, or when the file is something else."""
        try:
            found: Registry = Registry.FromString(self._filepath.read_bytes())
        except FileNotFoundError as error:
            raise _absent(str(self._filepath)) from error
        except DecodeError as error:
            raise UserError("is not a Feast registry", where=str(self._filepath), remedy="move it away") from error
        return found

    def _write_registry(self, registry_proto: Registry) -> None:
        registry_proto.version_id = str(uuid.uuid4())
        registry_proto.last_updated.GetCurrentTime()
        write_atomically(self._filepath, registry_proto.SerializeToString())


def create(path: Path) -> None:
    """An empty registry at `path`, unless there is one. The caller holds the registry's lock."""
    if not path.exists():
        empty = Registry(registry_schema_version=registry.REGISTRY_SCHEMA_VERSION)
        write_atomically(path, empty.SerializeToString())


def absent(settings: Settings) -> UserError:
    """The error of a registry that does not know what is asked of it."""
    return _absent(redacted(settings.feast_registry))


def _absent(where: str) -> UserError:
    remedy = "run the training pipeline, or `churn features apply`"
    return UserError("the feature registry holds nothing of this contract", where=where, remedy=remedy)
