from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.privacy.household import Home, Household
from tests.servers import S3Server, empty_database, postgres_server, redis_server, s3_kind, s3_server

_numbers = itertools.count()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture
def database_url(postgres: str) -> str:
    """The URL of an empty PostgreSQL database."""
    return empty_database(postgres)


@pytest.fixture(scope="session")
def redis() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture
def on_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Everything in files of one home."""
    return Home.at(tmp_path, {}, monkeypatch)


@pytest.fixture
def on_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: S3Server, database_url: str, redis: str) -> Home:
    """Objects on S3, the log and the customers in PostgreSQL, the online store in Redis."""
    bucket = s3.make_bucket(f"privacy-{os.getpid()}-{next(_numbers)}")
    stores = {
        "CHURN_OBJECTS": f"{bucket}/objects",
        "CHURN_TRAFFIC": f"{bucket}/traffic",
        "CHURN_DATABASE": database_url,
        "CHURN_ONLINE_STORE": f"{redis}/{next(_numbers) % 16}",
    }
    return Home.at(tmp_path, stores | s3.environment, monkeypatch)


@pytest.fixture(params=["files", s3_kind()])
def home(request: pytest.FixtureRequest) -> Home:
    """Each of the two."""
    return request.getfixturevalue("on_files" if request.param == "files" else "on_servers")


@pytest.fixture(scope="session")
def first_day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Household, Path]:
    """After a run of the pipeline, all in files; and a copy of these. Run once, as addresses hold for one folder."""
    folder, copy = tmp_path_factory.mktemp("household"), tmp_path_factory.mktemp("first-day")
    with pytest.MonkeyPatch.context() as patch:
        made = Household.of(Home.at(folder, {}, patch), folder)
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    return made, copy


@pytest.fixture
def embedded(first_day: tuple[Household, Path], monkeypatch: pytest.MonkeyPatch) -> Household:
    """After a run of the pipeline, all in files."""
    made, copy = first_day
    folder = made.table.parent
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)
    Home.at(folder, {}, monkeypatch)
    return made


@pytest.fixture(params=["files", s3_kind()])
def household(request: pytest.FixtureRequest, tmp_path: Path) -> Household:
    """After a run of the pipeline, in files and on servers."""
    if request.param == "files":
        found: Household = request.getfixturevalue("embedded")
        return found
    return Household.of(request.getfixturevalue("on_servers"), tmp_path)
