"""Content addresses: SHA-256 of a file, of a folder, and the digest an address carries in its name."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath

import msgspec

_DIGEST = re.compile(r"[0-9a-f]{64}")


class FolderManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A folder's files: SHA-256 by name (POSIX, relative to the folder), in the order of the names."""

    files: dict[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of the names and file digests; as `sha256sum` of a `sha256sum` listing."""
        listing = "".join(f"{digest}  {name}\n" for name, digest in self.files.items())
        return hashlib.sha256(listing.encode()).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in pieces."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def manifest_of_folder(folder: Path) -> FolderManifest:
    """The names and digests of all files below `folder`; empty folders do not count."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return FolderManifest({name: sha256_of_file(files[name]) for name in sorted(files)})


def digest_of_folder(folder: Path) -> str:
    """Hex SHA-256 of the names and contents of all files below `folder`, whatever order they were written in."""
    return manifest_of_folder(folder).digest


def digest_in(key: str) -> str | None:
    """The SHA-256 that the last part of a key carries (`snapshots/<sha256>.parquet`), if it does."""
    stem = PurePosixPath(key).name.split(".", 1)[0]
    return stem if _DIGEST.fullmatch(stem) else None
