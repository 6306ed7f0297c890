"""The object store on S3; an address is `s3://bucket/key`, and what is fetched is kept in a folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import msgspec

from churn.domain.errors import UserError
from churn.stores import files
from churn.stores.addresses import split_s3
from churn.stores.digests import FolderManifest, digest_in, manifest_of_folder, sha256_of_file
from churn.stores.errors import ConflictError, MissingObjectError
from churn.stores.objects import checked_key
from churn.stores.retry import PATIENT, Backoff
from churn.stores.s3 import S3
from churn.stores.settings import S3Access

MANIFEST = "_manifest.json"
"""Written last: a folder without it is one whose upload did not end."""

_DIGEST_HEADER = "x-amz-meta-sha256"


class S3Store:
    """Any bucket the keys may read; puts go below `root`. Fetched content lies in `cache`, named by what it is."""

    def __init__(self, root: str, access: S3Access, cache: Path, backoff: Backoff = PATIENT) -> None:
        self.root = root.rstrip("/")
        self._s3 = S3(access, backoff)
        self._cache = cache

    def address(self, key: str) -> str:
        """The address of a key."""
        return f"{self.root}/{checked_key(key)}"

    def put_file(self, path: Path, key: str) -> str:
        """Uploads a file with its SHA-256 as metadata."""
        address = self.address(key)
        digest = digest_in(key) or sha256_of_file(path)
        found = self._s3.found(*split_s3(address))
        if found is None:
            self._upload(path, address, digest)
        elif not digest_in(key) and found.get(_DIGEST_HEADER) != digest:
            raise ConflictError("already holds other content, and objects never change", where=address)
        return address

    def put_folder(self, folder: Path, key: str) -> str:
        """Uploads all files, then the manifest that names them."""
        address = self.address(key)
        stored = self._manifest(address)
        if stored is not None and digest_in(key):
            return address
        manifest = manifest_of_folder(folder)
        if stored is None:
            for name, digest in manifest.files.items():
                self._upload(folder / name, f"{address}/{name}", digest)
            self._finish(address, manifest)
        elif stored != manifest:
            raise ConflictError("already holds other content, and objects never change", where=address)
        return address

    def fetch(self, address: str) -> Path:
        """Downloads a file once; content whose address carries its SHA-256 is checked against it."""
        bucket, key = split_s3(address)
        digest = digest_in(key)
        if digest:
            return self._download(address, self._cache / bucket / key, digest)
        found = self._s3.call(bucket, key, lambda: self._s3.client.stat_object(bucket, key))
        version = f"{found.etag}-{found.size}"
        return self._download(address, self._cache / bucket / "by-etag" / version / PurePosixPath(key).name, None)

    def fetch_folder(self, address: str) -> Path:
        """Downloads a folder once, each file checked against the manifest."""
        bucket, key = split_s3(address)
        manifest = self._manifest(address)
        if manifest is None:
            raise MissingObjectError("there is no such folder, or its upload did not end", where=address)
        target = self._cache / bucket / "folders" / manifest.digest / PurePosixPath(key).name
        if not target.is_dir():
            with files.staged(self._cache / ".staging") as temporary:
                temporary.mkdir()
                for name, digest in manifest.files.items():
                    self._download(f"{address}/{checked_key(name)}", temporary / name, digest)
                _publish_folder(temporary, target)
        return target

    def exists(self, address: str) -> bool:
        """Whether there is an object, or the manifest of a folder."""
        return any(self._s3.found(*split_s3(place)) is not None for place in (address, f"{address}/{MANIFEST}"))

    def age_s(self, address: str) -> float | None:
        """By the server's clock when it was uploaded, and by this machine's now."""
        bucket, key = split_s3(address)
        try:
            stat = self._s3.call(bucket, key, partial(self._s3.client.stat_object, bucket, key))
        except MissingObjectError:
            return None
        return time.time() - stat.last_modified.timestamp() if stat.last_modified else 0.0

    def list(self, prefix: str = "") -> Sequence[str]:
        """All objects under a key prefix; manifests are not counted."""
        bucket, start = split_s3(f"{self.root}/{prefix}")
        found = self._names(bucket, f"{start}/" if start else "")
        return [f"s3://{bucket}/{name}" for name in found if PurePosixPath(name).name != MANIFEST]

    def delete(self, address: str) -> None:
        """Removes an object, or a folder: its manifest first, so that nobody takes the rest for whole."""
        bucket, key = split_s3(address)
        for name in (f"{key}/{MANIFEST}", *self._names(bucket, f"{key}/"), key):
            self._s3.call(bucket, name, partial(self._s3.client.remove_object, bucket, name))

    def _upload(self, path: Path, address: str, digest: str) -> None:
        bucket, key = split_s3(address)
        metadata: dict[str, str | list[str] | tuple[str]] = {"sha256": digest}
        self._s3.call(bucket, key, lambda: self._s3.client.fput_object(bucket, key, str(path), metadata=metadata))

    def _finish(self, address: str, manifest: FolderManifest) -> None:
        bucket, key = split_s3(f"{address}/{MANIFEST}")
        try:
            self._s3.write_if(bucket, key, msgspec.json.encode(manifest), None)
        except ConflictError:
            if self._manifest(address) != manifest:
                raise

    def _names(self, bucket: str, start: str) -> Sequence[str]:
        def names() -> list[str]:
            return [str(found.object_name) for found in self._s3.client.list_objects(bucket, start, recursive=True)]

        return sorted(self._s3.call(bucket, start, names))

    def _manifest(self, address: str) -> FolderManifest | None:
        found = self._s3.read(*split_s3(f"{address}/{MANIFEST}"))
        return msgspec.json.decode(found[0], type=FolderManifest) if found else None

    def _download(self, address: str, target: Path, digest: str | None) -> Path:
        if target.is_file():
            return target
        bucket, key = split_s3(address)
        with files.staged(self._cache / ".staging") as folder:
            content = folder / "content"  # the client adds a file of its own beside it
            self._s3.call(bucket, key, lambda: self._s3.client.fget_object(bucket, key, str(content)))
            if digest and sha256_of_file(content) != digest:
                raise UserError(
                    "the object's content is not what its address promises",
                    where=address,
                    remedy="it was changed or damaged: delete it, and run the step that makes it",
                )
            files.publish(content, target)
        return target


def _publish_folder(temporary: Path, target: Path) -> None:
    try:
        files.publish(temporary, target)
    except OSError:
        if not target.is_dir():
            raise
