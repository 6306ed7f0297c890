from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from churn.stores.database import migrate
from churn.stores.retry import Backoff
from churn.stores.settings import Settings
from tests.servers import S3Server, empty_database, postgres_server, s3_kind, s3_server

QUICK = Backoff(attempts=6, base_s=0.001, cap_s=0.01)

_numbers = itertools.count()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test on S3 says in its name which server it met."""
    if "s3" in metafunc.fixturenames:
        metafunc.parametrize("s3", [s3_kind()], indirect=True, scope="session")


@pytest.fixture(scope="session")
def s3_process() -> Iterator[S3Server]:
    """Started once, whatever the tests that use it are called."""
    with s3_server() as server:
        yield server


@pytest.fixture(scope="session")
def s3(s3_process: S3Server) -> S3Server:
    """MinIO, or moto where there is none."""
    return s3_process


@pytest.fixture
def bucket(s3: S3Server) -> str:
    """The address of an empty bucket."""
    return s3.make_bucket(f"bucket-{os.getpid()}-{next(_numbers)}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a real PostgreSQL database, password and all."""
    with postgres_server() as url:
        yield url


@pytest.fixture
def database_url(postgres: str) -> str:
    """The URL of an empty PostgreSQL database."""
    return empty_database(postgres)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with all tables, of either kind."""
    found = f"sqlite:///{tmp_path}/churn.db" if request.param == "sqlite" else request.getfixturevalue("database_url")
    migrate(found)
    return str(found)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Everything under a fresh home."""
    return Settings.load({"CHURN_HOME": str(tmp_path / "home")})


@pytest.fixture
def s3_settings(tmp_path: Path, s3: S3Server, bucket: str) -> Settings:
    """Objects and traffic on S3, the rest under a fresh home."""
    stores = {"CHURN_OBJECTS": f"{bucket}/objects", "CHURN_TRAFFIC": f"{bucket}/traffic"}
    return Settings.load({"CHURN_HOME": str(tmp_path / "home"), **stores, **s3.environment})


def environment(settings: Settings) -> dict[str, str]:
    """What a process of its own needs for the same settings."""
    keys = {
        "AWS_ENDPOINT_URL": settings.s3.endpoint,
        "AWS_ACCESS_KEY_ID": settings.s3.access_key,
        "AWS_SECRET_ACCESS_KEY": settings.s3.secret_key,
        "AWS_REGION": settings.s3.region,
    }
    return os.environ | settings.environment() | keys


@pytest.fixture
def race() -> Callable[[str, Settings, int], list[str]]:
    """Runs a script in several processes at once, let go together; gives what each printed, errors too."""

    def run(script: str, settings: Settings, count: int) -> list[str]:
        def start(number: int) -> subprocess.Popen[str]:
            return subprocess.Popen(
                [sys.executable, "-c", f"number = {number}\n{script}"],
                env=environment(settings),
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )

        runners = [start(number) for number in range(count)]
        for runner in runners:
            assert runner.stdout is not None
            assert runner.stdout.readline() == "ready\n"
        for runner in runners:
            assert runner.stdin is not None
            runner.stdin.write("go\n")
            runner.stdin.flush()
        return [runner.communicate()[0].strip() for runner in runners]

    return run


@pytest.fixture
def kill() -> Callable[[str, Settings], None]:
    """Runs a script in a process that must end by SIGKILL."""

    def run(script: str, settings: Settings) -> None:
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, env=environment(settings), capture_output=True, text=True, check=False)
        assert done.returncode == -9, done.stderr

    return run
