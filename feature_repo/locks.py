"""The lock of an online store. Needs no Feast."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from churn.stores import files
from churn.stores.addresses import sqlite_file
from churn.stores.settings import Settings


@contextmanager
def online_lock(settings: Settings) -> Iterator[None]:
    """Held by whoever fills an SQLite online store, between comparing and writing; a cluster runs one job at a time."""
    online = sqlite_file(settings.online_store)
    if online is None:
        yield
        return
    with files.locked(Path(f"{online}.lock")):
        yield
