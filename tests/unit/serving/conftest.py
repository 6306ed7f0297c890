from __future__ import annotations

from typing import Any

import pytest

from churn.stores.settings import Settings
from serving import champion, v1
from serving.champion import Champion
from tests import bundles


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return bundles.settings_of(tmp_path_factory.mktemp("serving"))


@pytest.fixture(scope="session")
def shop(settings: Settings) -> Champion:
    """The shop's champion, with nothing online."""
    return champion.load(settings, "shop", bundles.publish(settings, bundles.shop()))


def asked(*instances: dict[str, Any]) -> v1.Instances:
    return v1.decode({"instances": list(instances)})
