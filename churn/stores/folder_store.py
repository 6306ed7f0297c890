"""The object store in a folder of this machine; an address is a path."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from churn.stores import files
from churn.stores.digests import digest_in, digest_of_folder, sha256_of_file
from churn.stores.errors import ConflictError, MissingObjectError
from churn.stores.objects import checked_key

STAGING = ".staging"


class FolderStore:
    """Files are staged inside the root and renamed into place; fetching gives the stored path itself."""

    def __init__(self, root: str) -> None:
        self.root = root

    def address(self, key: str) -> str:
        """The path of a key."""
        return str(Path(self.root, checked_key(key)))

    def put_file(self, path: Path, key: str) -> str:
        """Copies a file in."""
        target = Path(self.address(key))
        with files.staged(Path(self.root, STAGING)) as temporary:
            if not target.exists():
                shutil.copyfile(path, temporary)
                files.publish(temporary, target)
            elif not digest_in(key) and sha256_of_file(target) != sha256_of_file(path):
                raise _other_content(target)
        return str(target)

    def put_folder(self, folder: Path, key: str) -> str:
        """Copies a folder in; its rename is what makes it visible."""
        target = Path(self.address(key))
        with files.staged(Path(self.root, STAGING)) as temporary:
            if not target.exists():
                shutil.copytree(folder, temporary, copy_function=shutil.copyfile)
                try:
                    files.publish(temporary, target)
                except OSError:
                    if not target.is_dir():  # otherwise somebody else was faster with the same name
                        raise
        if not digest_in(key) and digest_of_folder(target) != digest_of_folder(folder):
            raise _other_content(target)
        return str(target)

    def fetch(self, address: str) -> Path:
        """The file itself."""
        if not Path(address).is_file():
            raise _missing(address)
        return Path(address)

    def fetch_folder(self, address: str) -> Path:
        """The folder itself."""
        if not Path(address).is_dir():
            raise _missing(address)
        return Path(address)

    def exists(self, address: str) -> bool:
        """Whether the path is there."""
        return Path(address).exists()

    def age_s(self, address: str) -> float | None:
        """Since the file was last written."""
        try:
            return time.time() - Path(address).stat().st_mtime
        except FileNotFoundError:
            return None

    def list(self, prefix: str = "") -> Sequence[str]:
        """All files below a folder of the store, staged ones left out."""
        start = Path(self.root, prefix)
        found = (path for path in start.rglob("*") if path.is_file())
        return sorted(str(path) for path in found if STAGING not in path.relative_to(self.root).parts)

    def delete(self, address: str) -> None:
        """Removes the path; a folder leaves its name at once."""
        if Path(address).is_dir():
            with files.staged(Path(self.root, STAGING)) as temporary:
                Path(address).rename(temporary)
        else:
            files.remove(Path(address))


def _missing(address: str) -> MissingObjectError:
    return MissingObjectError("there is no such object", address, "check the address, or run the step that makes it")


def _other_content(target: Path) -> ConflictError:
    return ConflictError("already holds other content, and objects never change", where=str(target))
