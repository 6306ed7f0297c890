from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from churn.stores.settings import Settings
from tests import bundles
from tests.predictors import Predictor, running


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with version 7 of the shop's model in charge, three customers online, and one of long ago."""
    settings = bundles.settings_of(tmp_path_factory.mktemp("shop"))
    of = bundles.shop()
    bundles.publish(settings, of, version=7)
    long_ago = datetime.now(UTC).replace(microsecond=0) - timedelta(days=of.ttl_days + 1)
    bundles.remember(settings, of, {"old": bundles.CUSTOMER}, long_ago)
    bundles.remember(settings, of, bundles.CUSTOMERS)
    return settings


@pytest.fixture(scope="session")
def predictor(shop: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    with running(shop.home, tmp_path_factory.mktemp("predictor") / "log.txt") as predictor:
        yield predictor
