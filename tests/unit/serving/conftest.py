from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from churn.domain.contract import Contract
from churn.stores.settings import Settings
from serving import v1
from serving.access.admission import Access
from serving.access.options import AccessOptions
from serving.answering import Answering
from serving.answers import Answers
from serving.asked import Asked
from serving.call import Call
from serving.lineup import Lineup
from serving.metrics import Metrics
from serving.recording import Recorder
from serving.settings import Log, ServingSettings
from serving.version import Loader, Version
from tests import bundles

T = TypeVar("T")

_LOOP = asyncio.new_event_loop()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs in the one event loop of all these tests, as a server has one."""
    return _LOOP.run_until_complete(work)


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return bundles.settings_of(tmp_path_factory.mktemp("serving"))


@pytest.fixture(scope="session")
def shop(settings: Settings) -> Version:
    """The shop's champion, with nothing online."""
    return loader(settings).load("shop", bundles.publish(settings, bundles.shop()))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Version]:
    """Trains and loads versions; arguments are those of `bundles.publish`. The same is trained once."""
    settings = bundles.settings_of(tmp_path_factory.mktemp("trained"))
    known: dict[Any, Version] = {}

    def train(of: Contract | None = None, **changes: Any) -> Version:
        of = of or bundles.shop()
        key = (of.digest, *sorted(changes.items()))
        if key not in known:
            known[key] = loader(settings).load("shop", bundles.publish(settings, of, **changes))
        return known[key]

    return train


@pytest.fixture
def access() -> Iterator[Access]:
    opened = Access(AccessOptions())
    yield opened
    opened.close()


def loader(settings: Settings, **env: str) -> Loader:
    return Loader(settings, ServingSettings.load(env, settings), Metrics())


def asked(*instances: dict[str, Any], **parameters: Any) -> v1.Instances:
    return v1.decode({"instances": list(instances), "parameters": parameters})


def call(route: str = "v1 predict") -> Call:
    return Call(route, "request-1")


def answering(of: Version | Lineup, log: Log | None = None, batch_limit: int = 10_000) -> Answering:
    lineup = of if isinstance(of, Lineup) else Lineup(of)
    return Answering("shop", lineup, Recorder(Metrics(), log, Access(AccessOptions())), batch_limit)


def answers(of: Version | Lineup, what: Asked) -> Answers:
    return run(answering(of).answer(what, call()))


def predictions(of: Version | Lineup, *instances: dict[str, Any], **parameters: Any) -> list[Any]:
    """What v1 says, object by object."""
    return v1.render(answers(of, asked(*instances, **parameters)))["predictions"]
