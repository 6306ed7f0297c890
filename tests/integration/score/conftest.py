from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.domain.contract import Contract
from churn.stores.addresses import sqlite_file
from churn.stores.digests import digest_of_folder
from churn.stores.settings import Settings
from components.close_batch.manifest import Manifest
from components.close_batch.step import Closed, close
from components.plan_batch.step import Asked, plan
from components.score.plan import Plan
from components.score.step import score
from tests.bundles import publish, settings_of, shop
from tests.servers import S3Server, postgres_server, s3_kind, s3_server

DAY = "2026-01-31"
SOURCES = ("Kunde", "Plan", "region", "visits", "Spend in EUR", "discount", "rating")

_numbers = itertools.count()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test on S3 says in its name which server it met."""
    if "s3" in metafunc.fixturenames:
        metafunc.parametrize("s3", [s3_kind()], indirect=True, scope="session")


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def bucket(s3: S3Server) -> str:
    return s3.make_bucket(f"batch-{os.getpid()}-{next(_numbers)}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with postgres_server() as url:
        yield url


def customers(count: int = 300, seed: int = 1) -> dict[str, list[Any]]:
    """Customers of the shop as its table names them, some values missing where they may be."""
    random = np.random.default_rng(seed)
    lost = random.random(count) < 0.1
    return {
        "Kunde": [f"c{number:04}" for number in range(count)],
        "Plan": random.choice(["basic", "plus", "0", " plus"], count).tolist(),
        "region": [None if gone else "north" if number % 2 else "south" for number, gone in enumerate(lost)],
        "visits": random.integers(1, 60, count).tolist(),
        "Spend in EUR": np.round(random.uniform(0, 500, count), 2).tolist(),
        "discount": [None if gone else 5.0 for gone in lost],
        "rating": np.round(random.uniform(0, 5, count), 1).tolist(),
    }


def changed(columns: dict[str, list[Any]], row: int, **values: Any) -> dict[str, list[Any]]:
    """The same columns with other values in one row."""
    return {name: [values.get(name, v) if at == row else v for at, v in enumerate(c)] for name, c in columns.items()}


@dataclass(frozen=True)
class Shop:
    """A home with a champion, in which tables are scored step by step as the pipeline does it."""

    settings: Settings
    folder: Path

    def write(self, columns: dict[str, list[Any]], name: str = "customers.parquet", group: int | None = None) -> str:
        pq.write_table(pa.table(columns), self.folder / name, row_group_size=group)
        return str(self.folder / name)

    def plan(self, data: str, **asked: Any) -> Plan:
        return plan(self.settings, Asked(**{"model": "shop", "data": data, "as_of": DAY} | asked))

    def score(self, found: Plan) -> list[str]:
        return [score(self.settings, found, shard.number, threads=2).part.digest for shard in found.shards]

    def run(self, data: str, **asked: Any) -> Closed:
        found = self.plan(data, **asked)
        return close(self.settings, found, self.score(found))

    @property
    def out(self) -> Path:
        return Path(self.settings.objects, "scores/shop")

    def state(self) -> str:
        """A digest of all that has appeared."""
        return digest_of_folder(self.out)

    def manifest(self, day: str = DAY, version: int = 1) -> Manifest:
        return msgspec.json.decode(self.partition(day, version).joinpath("_manifest.json").read_bytes(), type=Manifest)

    def partition(self, day: str = DAY, version: int = 1) -> Path:
        return self.out / f"date={day}/version={version}"

    def scores(self, day: str = DAY, version: int = 1) -> pa.Table:
        """What the manifest names."""
        folder = self.partition(day, version)
        return pa.concat_tables(
            pq.read_table(folder / part.file, partitioning=None) for part in self.manifest(day, version).parts
        )

    def database(self) -> list[tuple[Any, ...]]:
        file = sqlite_file(self.settings.database)
        assert file is not None
        if not file.exists():
            return []
        with sqlite3.connect(file) as database:
            return database.execute("SELECT customer, as_of, version, probability FROM scores ORDER BY 1").fetchall()


@pytest.fixture
def contract() -> Contract:
    return shop()


@pytest.fixture
def store(tmp_path: Path, contract: Contract) -> Shop:
    settings = settings_of(tmp_path / "home")
    publish(settings, contract, estimator="xgboost")
    return Shop(settings, tmp_path)
