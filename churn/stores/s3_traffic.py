"""Traffic documents on S3, where a conditional put is the compare-and-set."""

from __future__ import annotations

from churn.stores.addresses import split_s3
from churn.stores.errors import ConflictError
from churn.stores.retry import PATIENT, Backoff
from churn.stores.s3 import S3
from churn.stores.settings import S3Access
from churn.stores.traffic import Traffic, decode, encode, file_name
from churn.stores.traffic_store import conflict, successor


class S3Traffic:
    """Documents below `s3://bucket/prefix`."""

    def __init__(self, root: str, access: S3Access, backoff: Backoff = PATIENT) -> None:
        self._root = root
        self._s3 = S3(access, backoff)

    def read(self, model: str) -> Traffic | None:
        """The document in its object."""
        found = self._read(model)
        return found[0] if found else None

    def write(self, document: Traffic, expected_revision: int) -> Traffic:
        """Replaces the object if it still is the one that was read."""
        found = self._read(document.model)
        after = successor(found[0] if found else None, document, expected_revision)
        try:
            self._s3.write_if(*self._place(document.model), encode(after), found[1] if found else None)
        except ConflictError as error:
            raise conflict(document.model, "it wrote at the same time") from error
        return after

    def _read(self, model: str) -> tuple[Traffic, str] | None:
        bucket, key = self._place(model)
        found = self._s3.read(bucket, key)
        return (decode(found[0], f"s3://{bucket}/{key}", model), found[1]) if found else None

    def _place(self, model: str) -> tuple[str, str]:
        return split_s3(f"{self._root}/{file_name(model)}")
