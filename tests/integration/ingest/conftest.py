from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from churn.stores.settings import Settings
from tests.servers import S3Server, postgres_server, s3_kind, s3_server

SHOP = """
name: shop
key: {column: customer, source: Customer No}
target: {column: gone, positive: "yes", negative: "no"}
columns:
  plan: {type: category, categories: [basic, plus]}
  visits: {type: integer, range: [0, 100]}
"""
ROWS = [(f"c{i}", "basic" if i % 2 else "plus", i, "yes" if i % 3 == 0 else "no") for i in range(40)]

_numbers = itertools.count()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test on S3 says in its name which server it met."""
    if "s3" in metafunc.fixturenames:
        metafunc.parametrize("s3", [s3_kind()], indirect=True, scope="session")


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """MinIO, or moto where there is none."""
    with s3_server() as server:
        yield server


@pytest.fixture
def bucket(s3: S3Server) -> str:
    """The address of an empty bucket."""
    return s3.make_bucket(f"ingest-{os.getpid()}-{next(_numbers)}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a real PostgreSQL database, password and all."""
    with postgres_server() as url:
        yield url


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({"CHURN_HOME": str(tmp_path / "home")})


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    """A small contract."""
    path = tmp_path / "shop.yaml"
    path.write_text(SHOP)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A CSV file that the contract describes."""
    path = tmp_path / "customers.csv"
    lines = [",".join(map(str, row)) for row in [("Customer No", "plan", "visits", "gone"), *ROWS]]
    path.write_text("\n".join(lines) + "\n")
    return path
