"""Where the scores of one date and version appear: a folder, or a prefix on S3.

Readers go by the manifest: it is replaced as a whole, after all that it names is there."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Protocol

from churn.domain.errors import UserError
from churn.stores import files, turns
from churn.stores.addresses import is_s3, split_s3
from churn.stores.digests import sha256_of_file
from churn.stores.s3 import S3
from churn.stores.settings import Settings
from components.score.room import FULL

MANIFEST = "_manifest.json"

_PARTITION = re.compile(r"date=(\d{4}-\d\d-\d\d)/version=(\d+)/" + re.escape(MANIFEST))


class Place(Protocol):
    """Files under names like `date=2026-01-31/version=3/part-00000.parquet`."""

    root: str

    def put(self, path: Path, name: str, digest: str) -> None:
        """Stores a file; one that is there with this content already is no work."""

    def read(self, name: str) -> bytes | None:
        """A small file's content; None when there is none."""

    def replace(self, name: str, content: bytes, former: bytes | None) -> None:
        """Replaces a small file that was `former` when it was read. Raises ConflictError when it is not that any more,
        where the place can tell."""

    def names(self, prefix: str) -> list[str]:
        """All files whose names begin so, in order."""

    def remove(self, name: str) -> None:
        """Removes a file; what is not there is no error."""

    def local(self, name: str, scratch: Path) -> Path:
        """The file on this machine, to read only; a copy below `scratch` where it lies elsewhere."""

    def held(self) -> AbstractContextManager[None]:
        """Lets nobody else who has the same folder, or the same database, change the place meanwhile."""

    def is_there(self) -> bool:
        """Whether there is such a folder, or bucket, from here."""

    def clear(self) -> None:
        """Removes what a killed run has half written, from a place that is held."""

    def probe(self) -> None:
        """Raises UserError when nothing can appear there, as far as can be told; leaves nothing behind."""


def open_place(settings: Settings, out: str) -> Place:
    """The place at a folder or an s3:// address."""
    return OnS3(out, settings) if is_s3(out) else InFolder(out)


def partition(as_of: str, version: int) -> str:
    """The prefix of one date and version."""
    return f"date={as_of}/version={version}/"


def partitions(place: Place) -> list[tuple[str, int]]:
    """Date and version of every run that is complete, in order."""
    found = (_PARTITION.fullmatch(name) for name in place.names(""))
    return sorted((match[1], int(match[2])) for match in found if match)


class InFolder:
    """Files are written aside and renamed. What the folder refuses is a UserError, but for a full disk's error."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._staging = Path(root, ".staging")

    def put(self, path: Path, name: str, digest: str) -> None:
        """Copies a file in."""
        target = Path(self.root, name)
        with self._told():
            if target.is_file() and sha256_of_file(target) == digest:
                return
            with files.staged(self._staging) as temporary:
                shutil.copyfile(path, temporary)
                files.publish(temporary, target)

    def read(self, name: str) -> bytes | None:
        """The file's content."""
        with self._told(), suppress(FileNotFoundError):
            return Path(self.root, name).read_bytes()
        return None

    def replace(self, name: str, content: bytes, former: bytes | None) -> None:  # noqa: ARG002 - `held` sees to that
        """Renames the new file over the old one."""
        with self._told(), files.staged(self._staging) as temporary:
            temporary.write_bytes(content)
            files.publish(temporary, Path(self.root, name))

    def names(self, prefix: str) -> list[str]:
        """All files below the folder."""
        root = Path(self.root)
        with self._told():
            found = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
        return sorted(name for name in found if name.startswith(prefix) and not name.startswith("."))

    def remove(self, name: str) -> None:
        """Removes the file."""
        with self._told():
            files.remove(Path(self.root, name))

    def local(self, name: str, scratch: Path) -> Path:  # noqa: ARG002
        """The file itself."""
        return Path(self.root, name)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Under a lock that dies with its holder."""
        with ExitStack() as lock:
            with self._told():
                lock.enter_context(files.locked(Path(self.root, ".lock")))
            yield

    def is_there(self) -> bool:
        """Whether the folder is."""
        return Path(self.root).is_dir()

    def clear(self) -> None:
        """Removes what was written aside."""
        files.remove(self._staging)

    def probe(self) -> None:
        """Makes a folder in the folder, or in the nearest one above that is there, and takes it away again."""
        root = Path(self.root)
        with self._told():
            nearest = next(folder for folder in (root, *root.parents) if folder.exists())
            Path(tempfile.mkdtemp(prefix=".probe-", dir=nearest)).rmdir()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in FULL:
                raise
            remedy = "it takes a folder that this user may write to"
            raise UserError(f"cannot be used: {error.strerror or type(error).__name__}", self.root, remedy) from error


class OnS3:
    """Objects below a prefix; the manifest is written on the condition that nobody else has written it since."""

    def __init__(self, root: str, settings: Settings) -> None:
        self.root = root.rstrip("/")
        self._s3 = S3(settings.s3)
        self._database = settings.database
        self._etags: dict[str, str | None] = {}

    def put(self, path: Path, name: str, digest: str) -> None:
        """Uploads a file with its SHA-256 as metadata."""
        bucket, key = self._at(name)
        found = self._s3.found(bucket, key)
        if found is None or found.get("x-amz-meta-sha256") != digest:
            metadata: dict[str, str | list[str] | tuple[str]] = {"sha256": digest}
            self._s3.call(bucket, key, lambda: self._s3.client.fput_object(bucket, key, str(path), metadata=metadata))

    def read(self, name: str) -> bytes | None:
        """The object's content; it is remembered which version that was."""
        found = self._s3.read(*self._at(name))
        self._etags[name] = found[1] if found else None
        return found[0] if found else None

    def replace(self, name: str, content: bytes, former: bytes | None) -> None:
        """A conditional put."""
        if content != former:
            bucket, key = self._at(name)
            self._s3.write_if(bucket, key, content, self._etags.get(name))

    def names(self, prefix: str) -> list[str]:
        """All objects below the root."""
        bucket, key = self._at(prefix)
        start = f"{key}/" if not prefix or prefix.endswith("/") else key

        def listed() -> list[str]:
            return [str(one.object_name) for one in self._s3.client.list_objects(bucket, start, recursive=True)]

        skip = len(split_s3(self.root)[1]) + 1 if split_s3(self.root)[1] else 0
        return sorted(name[skip:] for name in self._s3.call(bucket, start, listed))

    def remove(self, name: str) -> None:
        """Removes the object."""
        bucket, key = self._at(name)
        self._s3.call(bucket, key, partial(self._s3.client.remove_object, bucket, key))

    def local(self, name: str, scratch: Path) -> Path:
        """Downloads the object."""
        bucket, key = self._at(name)
        path = scratch / name.replace("/", "-")
        self._s3.call(bucket, key, lambda: self._s3.client.fget_object(bucket, key, str(path)))
        return path

    @contextmanager
    def held(self) -> Iterator[None]:
        """S3 has no lock, but the database has. For those with another one, see `replace`."""
        with turns.held(self._database, f"scores below {self.root}"):
            yield

    def is_there(self) -> bool:
        """Whether the bucket is."""
        bucket, _ = split_s3(self.root)
        return self._s3.call(bucket, "", partial(self._s3.client.bucket_exists, bucket))

    def clear(self) -> None:
        """What is uploaded appears whole or not at all."""

    def probe(self) -> None:
        """Whether the bucket is there."""
        if not self.is_there():
            raise UserError("there is no such bucket", self.root, "make it, or name another place with --out")

    def _at(self, name: str) -> tuple[str, str]:
        return split_s3(f"{self.root}/{name}")
