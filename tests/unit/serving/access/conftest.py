from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from serving.access import Access, keys
from serving.access.caller import Credentials


class Door:
    """A server's access control on real files, and the keys that were given out for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "keys.json"
        self.audit = folder / "audit.log"
        self._entries: list[dict[str, Any]] = []
        self._open: list[Access] = []

    def key(self, name: str = "call-centre", **fields: Any) -> bytes:
        """A new key in the file; it may predict."""
        identity, key, digest = keys.make()
        self._entries.append({"id": identity, "name": name, "hash": digest, "scopes": ["predict"], **fields})
        self.write(self._entries)
        return key.encode()

    def revoke_all(self) -> None:
        self._entries = []
        self.write(self._entries)

    def write(self, entries: list[dict[str, Any]]) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode({"keys": entries}))
        fresh.replace(self.file)

    def access(self, workers: int = 1, **variables: str) -> Access:
        """With the keys file, unless it is set to nothing; CHURN_ is left out of the names."""
        given = {"API_KEYS": str(self.file), "AUDIT_FILE": str(self.audit), **variables}
        access = Access.load({f"CHURN_{name}": value for name, value in given.items()}, workers=workers)
        self._open.append(access)
        return access

    def audited(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.audit.read_text().splitlines()]

    def close(self) -> None:
        for access in self._open:
            access.close()


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    made = Door(tmp_path)
    yield made
    made.close()


@pytest.fixture
def with_key() -> Callable[[bytes], Credentials]:
    return lambda key: Credentials(api_key=key)
