from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from churn.stores.settings import Settings
from tests.servers import S3Server, postgres_server, redis_server, s3_server


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({"CHURN_HOME": str(tmp_path / "home")})


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server
