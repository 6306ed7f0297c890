"""The whole way: a real predictor behind a real Prometheus, one challenger that breaks, one that is slow, one that is
better, and the way back."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest

from churn.stores import rollout_decisions
from churn.stores.live_metrics import Prometheus
from churn.stores.traffic import Mode, Variant
from local.rollout import acting, judging
from tests import bundles
from tests.predictors import Predictor, running
from tests.rollouts import DAY, ODD_VISITS, Fault, Stage, wait_until
from tests.servers import empty_database, prometheus_server

pytestmark = pytest.mark.usefixtures("prometheus_binary")


@dataclass
class Shop:
    """A predictor that serves, and the Prometheus that scrapes it."""

    stage: Stage
    predictor: Predictor
    prometheus: str
    asked: list[str] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)

    def ask(self, count: int, odd: float = 0.0) -> None:
        """Requests for new customers, so many of whom come more often than a version that `breaks` can bear."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.predictor.http_port, timeout=60)) as connection:
            for place in range(count):
                name = f"customer-{len(self.asked)}"
                self.asked.append(name)
                visits = ODD_VISITS if place % 100 < 100 * odd else bundles.CUSTOMER["visits"]
                body = json.dumps({"instances": [{**bundles.CUSTOMER, "customer_id": name, "visits": visits}]})
                connection.request("POST", "/v1/models/shop:predict", body, {"Content-Type": "application/json"})
                reply = connection.getresponse()
                content = reply.read()
                assert reply.status == 200, content
                self.answers += json.loads(content)["predictions"]

    def challenge(self, number: int, fault: Fault = "", mode: Mode = "split") -> Variant:
        """Starts a challenger, and waits until both sides are counted: Prometheus counts from what it sees first."""
        variant = self.stage.variant(number, fault=fault)
        self.stage.challenge(variant, 0.5, mode)
        self.predictor.wait_for(lambda: self.predictor.metric("churn_model_info", version=str(number)) == 1)
        self.ask(20)
        self.scraped()
        return variant

    def scraped(self) -> None:
        """Until Prometheus has seen all that the predictor counted."""
        known, names = (
            Prometheus(self.prometheus),
            ("churn_scoring_duration_seconds_count", "churn_challenger_failures_total"),
        )

        def seen() -> bool:
            return all(
                sum(value for _, value in known.query(name, time.time())) >= self.predictor.metric(name)
                for name in names
            )

        wait_until(seen)

    def judge(self, as_of: dt.datetime | None = None):
        return judging.judge(self.stage.settings, self.environment, "shop", as_of)

    @property
    def environment(self) -> dict[str, str]:
        return {"CHURN_PROMETHEUS": self.prometheus}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    home = tmp_path_factory.mktemp(f"live-{request.param}")
    database = empty_database(request.getfixturevalue("postgres")) if request.param == "postgres" else ""
    stage = Stage.open(home / "home", database)
    given = {"CHURN_DATABASE": database} if database else {}
    with (
        running(stage.settings.home, home / "log.txt", **given) as predictor,
        prometheus_server(f"127.0.0.1:{predictor.http_port}") as prometheus,
    ):
        made = Shop(stage, predictor, prometheus)
        made.ask(20)
        yield made


def test_a_challenger_that_breaks_costs_nobody_an_answer_and_is_rolled_back(shop: Shop) -> None:
    shop.challenge(2, "breaks")
    shop.ask(500, odd=0.5)
    shop.scraped()
    judged = shop.judge()
    assert judged.verdict.action == "roll back", (judged.verdict, judged.live)
    assert "requests failed, more than 10.0%" in judged.verdict.reason
    done = acting.apply(shop.stage.settings, shop.environment, judged)
    assert done is not None
    shop.predictor.wait_for(lambda: shop.predictor.metric("churn_model_info", version="2") == 0)
    before = len(shop.answers)
    shop.ask(50)
    assert {one["model_version"] for one in shop.answers[before:]} == {1}


def test_a_challenger_that_is_slow_is_rolled_back(shop: Shop) -> None:
    shop.challenge(3, "slow")
    shop.ask(300)
    shop.scraped()
    judged = shop.judge()
    assert judged.verdict.action == "roll back", (judged.verdict, judged.live)
    assert "its p99 is" in judged.verdict.reason
    acting.apply(shop.stage.settings, shop.environment, judged)
    assert shop.stage.document.challenger is None


def test_a_challenger_is_slow_in_the_shadow_too(shop: Shop) -> None:
    shop.challenge(4, "slow", "shadow")
    shop.ask(300)
    shop.scraped()
    judged = shop.judge()
    assert judged.verdict.action == "roll back", (judged.verdict, judged.live)
    assert "its p99 is" in judged.verdict.reason
    acting.apply(shop.stage.settings, shop.environment, judged)


def test_a_better_challenger_waits_for_outcomes_is_promoted_by_them_and_its_predecessor_can_return(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody leaves, so that whoever contacts nobody is better."""
    monkeypatch.setattr("local.rollout.observed._SETTLING", dt.timedelta(0))  # there is one predictor, and it has it
    better = shop.challenge(5)
    since = len(shop.asked)
    shop.ask(600)
    shop.scraped()
    wait_until(lambda: shop.judge().evidence.customers >= 600)
    judged = shop.judge()
    assert (judged.verdict.action, judged.silence) == ("wait", "")
    assert "none has an outcome" in judged.verdict.reason
    assert acting.apply(shop.stage.settings, shop.environment, judged) is None

    now = dt.datetime.now(dt.UTC)
    shop.stage.became([], shop.asked[since:], now, now + 35 * DAY)
    judged = shop.judge(now + 36 * DAY)
    assert judged.verdict.action == "promote", judged
    assert judged.evidence.judged >= 600
    done = acting.apply(shop.stage.settings, shop.environment, judged)
    assert done is not None
    assert (done.document.champion, done.document.previous) == (better, shop.stage.champion)
    shop.predictor.wait_for(lambda: version(shop) == 5)

    acting.back(shop.stage.settings, shop.environment, "shop")
    shop.predictor.wait_for(lambda: version(shop) == 1)
    found = rollout_decisions.latest(shop.stage.settings.database, "shop", 2)
    assert [one.action for one in found] == ["back", "promote"]


def version(shop: Shop) -> int:
    shop.ask(1)
    return int(shop.answers[-1]["model_version"])
