"""Contracts that models of these settings were trained under: what explains tables whose columns a source has named."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from churn.domain import contract as contracts
from churn.domain.contract import Contract
from churn.domain.errors import UserError
from churn.stores import files, objects
from churn.stores.privacy.stored import scratch_folder
from churn.stores.settings import Settings

_PUBLISHED, _RESOLVED = "contract.yaml", "contract_file"


def trained_under(settings: Settings) -> Iterator[Contract]:
    """Those of published bundles, and those of local runs. One that this version cannot read is left out."""
    store = objects.open_store(settings)
    for address in store.list("bundles/"):
        if address.endswith(f"/{_PUBLISHED}"):
            with files.staged(scratch_folder(settings)) as scratch:
                uncached = msgspec.structs.replace(settings, home=scratch)
                path = objects.open_store(uncached, settings.objects).fetch(address)
                yield from _parsed(path.read_bytes(), address)
    for path in sorted((settings.home / "runs").rglob(_RESOLVED)):
        yield from _parsed(path.read_bytes(), str(path))


def _parsed(content: bytes, where: str) -> Iterator[Contract]:
    try:
        yield contracts.parse(content.decode(), where)
    except (UserError, UnicodeDecodeError):
        return
