"""What a complete run says of itself; it is written last."""

from __future__ import annotations

import msgspec

from components.close_batch.summary import Summary


class Listed(msgspec.Struct, frozen=True):
    """A file of the run, beside the manifest."""

    file: str
    rows: int
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a run in the order of its rows, and its summary. Nothing in it depends on when it was written."""

    format: int
    contract: str
    snapshot: str
    parts: tuple[Listed, ...]
    quarantine: tuple[Listed, ...]
    summary: Summary


def encoded(manifest: Manifest) -> bytes:
    """The manifest as it lies there."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2)
