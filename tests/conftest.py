"""Before any test module: importing Feast makes prometheus_client count in files that all of a process share."""

from __future__ import annotations

import os

import pytest

os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)

import prometheus_client  # noqa: F401 - it decides at its import where it counts


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed in this process is not folded to the width of whatever terminal the tests run in."""
    from local import screen

    monkeypatch.setattr(screen.out, "_width", 200)


@pytest.fixture(autouse=True)
def counted_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that has imported Feast in this process leaves a variable by which the next one's metrics would be looked
    for in files."""
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
