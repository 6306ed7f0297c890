"""Erasing, exporting and archiving take turns: one at a time for a database, whichever machine it is asked from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from churn.stores import files, turns
from churn.stores.privacy.stored import scratch_folder
from churn.stores.settings import Settings


@contextmanager
def turn(settings: Settings) -> Iterator[None]:
    """Waits for its turn and holds it; what a killed one left half done in the home is removed first.

    The kernel, or the database, gives the turn to the next one when its holder dies."""
    with turns.held(settings.database, "privacy"), files.locked(settings.home / "locks" / "privacy"):
        files.remove(scratch_folder(settings))
        yield
