"""Where traffic documents lie, and how two writers at once are told apart."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Protocol

import msgspec

from churn.domain.errors import UserError
from churn.stores import files
from churn.stores.addresses import is_s3
from churn.stores.errors import ConflictError
from churn.stores.settings import Settings
from churn.stores.traffic import LAST_REVISION, Traffic, dated, decode, encode, file_name


class TrafficStore(Protocol):
    """Reads a model's document, and replaces it by compare-and-set."""

    def read(self, model: str) -> Traffic | None:
        """The document; None before the first promotion. Raises UserError when it is damaged."""

    def write(self, document: Traffic, expected_revision: int) -> Traffic:
        """Replaces the document of that revision (0: there is none yet); gives it as written: one revision on, and
        with the times since when its champion and its line-up are what they are.

        Raises ConflictError, and changes nothing, when somebody else has written since."""


def open_traffic(settings: Settings) -> TrafficStore:
    """The traffic documents of these settings."""
    if is_s3(settings.traffic):
        from churn.stores.s3_traffic import S3Traffic

        return S3Traffic(settings.traffic, settings.s3)
    return FolderTraffic(Path(settings.traffic))


class FolderTraffic:
    """Documents in a folder; writers take turns by a lock that dies with its holder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, model: str) -> Traffic | None:
        """The document in its file."""
        path = self._folder / file_name(model)
        try:
            return decode(path.read_bytes(), str(path), model)
        except FileNotFoundError:
            return None

    def write(self, document: Traffic, expected_revision: int) -> Traffic:
        """Replaces the file, under the lock."""
        path = self._folder / file_name(document.model)
        with files.locked(self._folder / f".{document.model}.lock"):
            after = successor(self.read(document.model), document, expected_revision)
            files.write_atomically(path, encode(after))
        return after


def successor(current: Traffic | None, document: Traffic, expected_revision: int) -> Traffic:
    """`document` as the revision after `current`.

    Raises ConflictError when that is not the expected one, UserError when none can come after it."""
    found = current.revision if current else 0
    if found != expected_revision:
        raise conflict(document.model, f"revision {found} instead of {expected_revision}")
    if found == LAST_REVISION:
        raise UserError(f"no revision comes after {found}", f"model {document.model}", "lower it in the document")
    after = dated(document, current, dt.datetime.now(dt.UTC).replace(microsecond=0))
    return msgspec.structs.replace(after, revision=expected_revision + 1)


def conflict(model: str, found: str) -> ConflictError:
    """What the slower of two writers is told."""
    return ConflictError(
        f"another promotion of '{model}' was faster: {found}; nothing was changed by this one",
        remedy="run again to compare with the new champion",
    )
