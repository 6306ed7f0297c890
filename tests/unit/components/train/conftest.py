from __future__ import annotations

from collections.abc import Iterator

import pytest

from components.train import estimators
from components.train.data import TrainingSet
from components.train.estimators import Balance
from components.train.selection import Folds
from tests import training


@pytest.fixture(autouse=True)
def steady() -> Iterator[None]:
    with estimators.steady():
        yield


@pytest.fixture(scope="session")
def data() -> TrainingSet:
    return training.generated()


@pytest.fixture(scope="session")
def folds(data: TrainingSet) -> Folds:
    return Folds(data.contract, data.rows, Balance())
