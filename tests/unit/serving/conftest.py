from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from churn.stores.settings import Settings
from serving import champion, v1
from serving.champion import Champion
from tests import bundles


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings.load({"CHURN_HOME": str(tmp_path_factory.mktemp("serving"))}).prepare()


@pytest.fixture(scope="session")
def shop(settings: Settings) -> Champion:
    """The shop's champion, with nothing online."""
    return champion.load(settings, "shop", bundles.publish(settings, bundles.shop()))


def asked(*instances: dict[str, Any]) -> v1.Instances:
    return v1.decode({"instances": list(instances)})


def home(folder: Path) -> Settings:
    return Settings.load({"CHURN_HOME": str(folder)}).prepare()
