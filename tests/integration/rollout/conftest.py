from __future__ import annotations

import shutil

import pytest

from tests.servers import postgres_server


@pytest.fixture(scope="session")
def postgres():
    """The URL of a real PostgreSQL database."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def prometheus_binary() -> str:
    """Debian's package `prometheus`, which the repository's own tests install."""
    found = shutil.which("prometheus")
    if found is None:
        pytest.skip("prometheus is not installed")
    return found
