from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from churn.domain.contract import Contract
from churn.stores import objects
from churn.stores.settings import Settings
from churn.stores.traffic import Traffic, Variant
from churn.stores.traffic_store import open_traffic
from components.evaluate.evaluation import Evaluation
from components.evaluate.step import evaluate
from tests.integration.evaluate.shop import WORSE, Trained, contract_with, customers, train


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A fresh home."""
    return Settings.load({"CHURN_HOME": str(tmp_path / "home")})


@pytest.fixture
def serve(settings: Settings) -> Callable[[Trained], None]:
    """Makes a bundle version 3, the champion, as promote does."""

    def serve(trained: Trained) -> None:
        address = objects.open_store(settings).put_folder(trained.bundle, f"bundles/{trained.digest}")
        variant = Variant(version=3, digest=trained.digest, bundle=address)
        open_traffic(settings).write(Traffic(trained.contract.name, variant), expected_revision=0)

    return serve


@pytest.fixture
def judge(settings: Settings) -> Callable[..., Evaluation]:
    """The step on what train left."""
    return lambda trained, **changes: evaluate(settings, trained.inputs(**changes))


@pytest.fixture(scope="session")
def table() -> pa.Table:
    """The shop's customers."""
    return customers()


@pytest.fixture
def make(tmp_path: Path, table: pa.Table) -> Callable[..., Trained]:
    """Trains a model as `shop.train` does: an honest one on the shop's customers, unless told otherwise."""

    def make(contract: Contract | None = None, rows: pa.Table | None = None, **how: Any) -> Trained:
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        return train(folder, contract or contract_with(), table if rows is None else rows, **how)

    return make


@pytest.fixture(scope="session")
def honest(tmp_path_factory: pytest.TempPathFactory, table: pa.Table) -> Trained:
    """A model that deserves to serve."""
    return train(tmp_path_factory.mktemp("honest"), contract_with(), table)


@pytest.fixture(scope="session")
def worse(tmp_path_factory: pytest.TempPathFactory, table: pa.Table) -> Trained:
    """One whose AUC is .01 lower, and which has no other fault."""
    return train(tmp_path_factory.mktemp("worse"), contract_with(), table, candidate=WORSE)
