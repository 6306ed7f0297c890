"""The object store: immutable files and folders, addressed by their content, in a folder or on S3."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from churn.stores.addresses import is_s3, split_s3
from churn.stores.errors import MissingObjectError
from churn.stores.settings import Settings


class ObjectStore(Protocol):
    """Puts take keys (`snapshots/<sha256>.parquet`) and give addresses; everything else takes addresses.

    What is put appears whole or not at all and never changes: the same content again is no work, other content under
    the same key raises ConflictError. A key whose last part carries a SHA-256 speaks for its content."""

    root: str

    def address(self, key: str) -> str:
        """Where a key lies. Raises ValueError for a key that leaves the store."""

    def put_file(self, path: Path, key: str) -> str:
        """Stores a file; gives its address."""

    def put_folder(self, folder: Path, key: str) -> str:
        """Stores all files below a folder; gives the folder's address."""

    def fetch(self, address: str) -> Path:
        """A local file with the object's content, to read only. Raises UserError when there is none."""

    def fetch_folder(self, address: str) -> Path:
        """A local folder with the stored folder's files, to read only. Raises UserError when there is none."""

    def exists(self, address: str) -> bool:
        """Whether a file, or a whole folder, lies there."""

    def age_s(self, address: str) -> float | None:
        """Seconds since a file was stored; None where there is none."""

    def list(self, prefix: str = "") -> Sequence[str]:
        """Addresses of all files under a key prefix that ends at a `/`, in order."""

    def delete(self, address: str) -> None:
        """Removes a file or a folder; what is not there is no error."""


def open_store(settings: Settings, root: str = "") -> ObjectStore:
    """The store at `root` (a folder or `s3://bucket/prefix`; the project's own by default)."""
    root = root or settings.objects
    if is_s3(root):
        from churn.stores.s3_store import S3Store

        return S3Store(root, settings.s3, cache=settings.home / "cache")
    from churn.stores.folder_store import FolderStore

    return FolderStore(root)


def fetch(settings: Settings, address: str) -> Path:
    """A local file with the content of any address, be it the project's own or a user's `s3://` object.

    Where an erasure has rewritten the content, it is what it became. Raises UserError when there is none."""
    store = open_store(settings, root_of(address))
    try:
        return store.fetch(address)
    except MissingObjectError:
        from churn.stores.privacy import ledger

        now = ledger.current(settings, address)
        if now == address:
            raise
        return store.fetch(now)


def root_of(address: str) -> str:
    """A root that holds an address: its bucket, or its folder."""
    return f"s3://{split_s3(address)[0]}" if is_s3(address) else str(Path(address).parent)


def checked_key(key: str) -> str:
    """`key`, when it is a relative POSIX path without detours. Raises ValueError otherwise."""
    parts = PurePosixPath(key).parts
    if not parts or "/".join(parts) != key or key.startswith("/") or ".." in parts:
        raise ValueError(f"'{key}' is no key of an object store")
    return key
