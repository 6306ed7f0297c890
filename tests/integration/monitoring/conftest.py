from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.monitor_assemble.step import Asked, Files, assemble
from components.monitor_judge.report import Monitoring
from components.monitor_judge.step import Inputs, judge
from tests.monitored import AS_OF, Shop
from tests.servers import empty_database, postgres_server

_numbers = itertools.count()

Watch = Callable[..., Monitoring]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture
def database_url(postgres: str) -> str:
    """The URL of an empty PostgreSQL database."""
    return empty_database(postgres)


@pytest.fixture(params=["sqlite", "postgres"])
def open_shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    """A shop on either database."""
    return Shop.open(tmp_path / "home", "" if request.param == "sqlite" else request.getfixturevalue("database_url"))


def files_of(folder: Path) -> Files:
    names = ("contract.yaml", "reference.parquet", "window.parquet", "predictions.parquet", "facts.json")
    return Files(*(folder / name for name in names))


def inputs_of(folder: Path) -> Inputs:
    files = files_of(folder)
    return Inputs(files.contract, files.reference, files.window, files.predictions, files.facts)


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    """Assembles and judges."""

    def watch(shop: Shop, **changes: Any) -> Monitoring:
        folder = tmp_path / f"assembled-{next(_numbers)}"
        assemble(shop.settings, Asked(**{"model": "shop", "as_of": AS_OF, **changes}), files_of(folder))
        return judge(inputs_of(folder))

    return watch
