from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.rollouts import Stage
from tests.servers import empty_database, postgres_server


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


@pytest.fixture(params=["sqlite", "postgres"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    """Two versions, with log and outcomes in SQLite and in PostgreSQL."""
    database = empty_database(request.getfixturevalue("postgres")) if request.param == "postgres" else ""
    return Stage.open(tmp_path / "home", database)


@pytest.fixture
def home(tmp_path: Path) -> Stage:
    """Two versions, where it does not matter in which database."""
    return Stage.open(tmp_path / "home")
