"""S3 through the `minio` client: retried where that helps, and told as UserErrors where it does not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError

from churn.domain.errors import UserError
from churn.stores.errors import ConflictError, MissingObjectError
from churn.stores.retry import PATIENT, Backoff
from churn.stores.settings import S3Access

T = TypeVar("T")

_OVERLOADED = {"SlowDown", "SlowDownRead", "SlowDownWrite", "RequestTimeout", "ServerNotInitialized"}
_REFUSED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidTokenId"}
_CHANGED = {"PreconditionFailed", "ConditionalRequestConflict"}
_TIMEOUT = urllib3.Timeout(connect=5, read=60)


class S3:
    """One endpoint; every call goes through `call`."""

    def __init__(self, access: S3Access, backoff: Backoff = PATIENT) -> None:
        secure, _, host = (access.endpoint or "https://s3.amazonaws.com").partition("://")
        # Our own retries alone: the pool's would multiply them.
        self.pool = urllib3.PoolManager(timeout=_TIMEOUT, maxsize=10, retries=False)
        self.client = Minio(
            host,
            access_key=access.access_key or None,
            secret_key=access.secret_key or None,
            session_token=access.session_token or None,
            secure=secure == "https",
            region=access.region or ("us-east-1" if access.endpoint else None),
            http_client=self.pool,
        )
        self.endpoint = access.endpoint or "AWS"
        self.backoff = backoff

    def call(self, bucket: str, key: str, call: Callable[[], T]) -> T:
        """The result of `call`.

        Raises UserError when the bucket or the object is missing, access is refused, or the endpoint stays silent;
        ConflictError when a precondition failed; anything else as it is."""
        try:
            return self.backoff.run(call, transient)
        except S3Error as error:
            raise self._explained(error, bucket, key) from error
        except urllib3.exceptions.HTTPError as error:
            raise self._silent(type(error).__name__) from error
        except (ServerError, InvalidResponseError) as error:
            raise self._silent(f"status {status_of(error)}") from error

    def found(self, bucket: str, key: str) -> dict[str, str] | None:
        """An object's headers, names in lower case (`etag` without quotes); None when there is none in the bucket."""
        try:
            stat = self.call(bucket, key, lambda: self.client.stat_object(bucket, key))
        except MissingObjectError:
            return None
        return {**{name.lower(): value for name, value in (stat.metadata or {}).items()}, "etag": stat.etag or ""}

    def read(self, bucket: str, key: str) -> tuple[bytes, str] | None:
        """A small object's content and ETag; None when there is none in the bucket."""

        def get() -> tuple[bytes, str]:
            response = self.client.get_object(bucket, key)
            try:
                return response.read(), response.headers["etag"]
            finally:
                response.close()
                response.release_conn()

        try:
            return self.call(bucket, key, get)
        except MissingObjectError:
            return None

    def write_if(self, bucket: str, key: str, content: bytes, etag: str | None) -> None:
        """Writes a small object if its ETag still is this one (None: if there is none). Raises ConflictError if not.

        The client has no conditional put, so that the request is one it signed in advance."""
        condition = {"If-Match": etag} if etag else {"If-None-Match": "*"}
        tries = 0

        def put() -> None:
            nonlocal tries
            tries += 1
            url = self.client.get_presigned_url("PUT", bucket, key, expires=timedelta(minutes=5))
            response = self.pool.request("PUT", url, body=content, headers=condition)
            if response.status != 200:
                raise S3Error.fromxml(response) if response.data else ServerError("no answer", response.status)

        try:
            self.call(bucket, key, put)
        except (ConflictError, MissingObjectError) as error:  # missing: it was deleted since it was read
            # A try whose answer was lost may have been the one that wrote.
            current = self.read(bucket, key) if tries > 1 else None
            if current is None or current[0] != content:
                raise _changed(f"s3://{bucket}/{key}") from error

    def _explained(self, error: S3Error, bucket: str, key: str) -> Exception:
        where, code = f"s3://{bucket}/{key}".rstrip("/"), error.code or ""
        if code == "NoSuchBucket" or (code == "NoSuchKey" and self._lacks(bucket)):
            return UserError(f"the bucket '{bucket}' does not exist at {self.endpoint}", where, "create it")
        if code == "NoSuchKey":
            return MissingObjectError("there is no such object", where, "check the address")
        if code in _CHANGED:
            return _changed(where)
        if code in _REFUSED:
            remedy = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what they may do"
            return UserError(f"{self.endpoint} refuses access ({code})", where, remedy)
        if transient(error):
            return self._silent(code)
        return error

    def _lacks(self, bucket: str) -> bool:
        try:
            return not self.client.bucket_exists(bucket)
        except S3Error:  # one may be allowed to read objects and not to ask for their bucket
            return False

    def _silent(self, reason: str) -> UserError:
        return UserError(
            f"the object store did not answer after {self.backoff.attempts} attempts ({reason})",
            where=self.endpoint,
            remedy="check that it runs, and AWS_ENDPOINT_URL",
        )


def _changed(where: str) -> ConflictError:
    return ConflictError("was changed by somebody else at the same time", where, "run again")


def transient(error: Exception) -> bool:
    """Whether trying again may help: no connection, a broken one, an overloaded or failing server."""
    if isinstance(error, S3Error):
        return error.code in _OVERLOADED or status_of(error) >= 500 or status_of(error) == 429
    if isinstance(error, ServerError | InvalidResponseError):
        return status_of(error) >= 500 or status_of(error) == 429
    unhelpful = (urllib3.exceptions.SSLError, urllib3.exceptions.LocationValueError)
    return isinstance(error, urllib3.exceptions.HTTPError) and not isinstance(error, unhelpful)


def status_of(error: S3Error | ServerError | InvalidResponseError) -> int:
    """The HTTP status an error came with."""
    if isinstance(error, S3Error):
        return int(error.response.status)
    return error.status_code if isinstance(error, ServerError) else error._code  # noqa: SLF001 - it has no other way
