"""The traffic document takes effect, and what it names wrongly does not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from churn.domain.errors import UserError
from churn.stores.settings import Settings
from churn.stores.traffic import Traffic, Variant
from churn.stores.traffic_store import open_traffic
from serving import trial, watch
from serving.access.admission import Access
from serving.answering import Answering
from serving.errors import UnavailableError
from serving.metrics import Metrics
from serving.recording import Recorder
from serving.settings import ServingSettings
from serving.version import Loader, Version
from serving.watch import Follower
from tests import bundles
from tests.unit.serving.conftest import run
from tests.unit.serving.test_trial import WRONG, of_another, tampered


@dataclass
class Followed:
    """A server's following, on a real document."""

    settings: Settings
    metrics: Metrics
    follower: Follower
    answering: Answering

    def write(self, **changes: Any) -> None:
        store = open_traffic(self.settings)
        document = store.read("shop")
        assert document
        store.write(msgspec.structs.replace(document, **changes), document.revision)

    def train(self, version: int, **changes: Any) -> Variant:
        """A new version, in charge of nothing."""
        document = open_traffic(self.settings).read("shop")
        assert document
        variant = bundles.publish(self.settings, bundles.shop(), version=version, seed=version, **changes)
        self.write(champion=document.champion, previous=None)
        return variant

    def catch_up(self) -> None:
        run(self.follower.catch_up(self.answering))

    @property
    def serving(self) -> tuple[int, int | None]:
        lineup = self.answering.lineup
        return lineup.champion.variant.version, lineup.challenger.variant.version if lineup.challenger else None

    def failures(self, role: str) -> float:
        return float(self.metrics.load_failures.labels(role)._value.get())


@pytest.fixture
def followed(tmp_path: Path, access: Access) -> Followed:
    settings = bundles.settings_of(tmp_path)
    bundles.publish(settings, bundles.shop())
    metrics = Metrics()
    loader = Loader(settings, ServingSettings.load({}, settings), metrics)
    store = open_traffic(settings)
    follower = Follower(store, loader, metrics)
    document = store.read("shop")
    assert document
    answering = Answering("shop", follower.load("shop", document), Recorder(metrics, None, access), 100)
    return Followed(settings, metrics, follower, answering)


def test_a_challenger_its_share_and_its_mode_take_effect_and_loaded_versions_are_kept(followed: Followed) -> None:
    challenger = followed.train(2)
    champion = followed.answering.lineup.champion
    followed.write(challenger=challenger, share=0.25)
    followed.catch_up()
    assert followed.serving == (1, 2)
    loaded = followed.answering.lineup.challenger
    followed.write(share=0.5, mode="shadow")
    followed.catch_up()
    lineup = followed.answering.lineup
    assert (lineup.share, lineup.mode) == (0.5, "shadow")
    assert (lineup.champion, lineup.challenger) == (champion, loaded)
    followed.write(champion=challenger, challenger=None, share=0.0)
    followed.catch_up()
    assert followed.serving == (2, None)
    assert followed.answering.lineup.champion is loaded


def test_an_unchanged_document_changes_nothing(followed: Followed) -> None:
    before = followed.answering.lineup
    followed.catch_up()
    assert followed.answering.lineup is before


def test_a_document_that_is_gone_leaves_who_serves_and_is_no_success(followed: Followed) -> None:
    before = followed.answering.lineup
    (Path(followed.settings.traffic) / "shop.yaml").unlink()
    with pytest.raises(UserError, match="the traffic document is gone"):
        followed.catch_up()
    assert followed.answering.lineup is before


def test_a_challenger_that_cannot_be_loaded_is_left_out_and_tried_again(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    good = followed.train(2)
    followed.write(challenger=Variant(2, "0" * 64, good.bundle), share=0.5)
    followed.catch_up()
    followed.catch_up()
    assert followed.serving == (1, None)
    assert followed.failures("challenger") == 2
    assert caplog.text.count("shop is served without its challenger") == 1
    followed.write(challenger=good)
    followed.catch_up()
    assert followed.serving == (1, 2)


def test_at_the_start_a_challenger_may_be_missing_and_a_champion_may_not(followed: Followed) -> None:
    document = open_traffic(followed.settings).read("shop")
    assert document
    gone = Variant(9, "9" * 64, document.champion.bundle)
    without = Traffic("shop", document.champion, challenger=gone, share=0.5)
    assert followed.follower.load("shop", without).challenger is None
    with pytest.raises(UserError, match="has the digest"):
        followed.follower.load("shop", Traffic("shop", gone))


def test_a_champion_that_cannot_be_loaded_leaves_the_whole_line_up_as_it_is(followed: Followed) -> None:
    before = followed.answering.lineup
    followed.write(champion=Variant(9, "9" * 64, before.champion.variant.bundle))
    with pytest.raises(UserError):
        followed.catch_up()
    with pytest.raises(UnavailableError, match="cannot be loaded; the former version serves"):
        run(followed.follower.reload(followed.answering))
    assert followed.answering.lineup is before
    assert followed.failures("champion") == 1


def test_who_serves_is_said_to_people_and_to_prometheus(followed: Followed, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "serving")
    followed.write(challenger=followed.train(2), share=0.25)
    followed.catch_up()
    assert "version 1 of shop serves now, version 2 gets 25% (split)" in caplog.text
    text = followed.metrics.render().decode()
    assert text.count('role="champion"') == text.count("churn_model_info{digest") - text.count('role="challenger"') == 1


def test_the_follower_switches_survives_and_says_a_problem_once(
    followed: Followed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "serving")
    monkeypatch.setattr(watch, "INTERVAL_S", 0.01)

    async def follow() -> None:
        following = asyncio.create_task(followed.follower.follow(followed.answering))
        await asyncio.sleep(0.1)
        assert followed.serving == (1, None)
        publish = asyncio.to_thread
        await publish(bundles.publish, followed.settings, bundles.shop(), version=2, seed=1, wrong_by=0.5)
        await until(lambda: "answers its own example wrongly" in caplog.text)
        await asyncio.sleep(0.2)
        assert followed.serving == (1, None)
        await publish(bundles.publish, followed.settings, bundles.shop(), version=3, seed=2)
        await until(lambda: followed.serving == (3, None))
        following.cancel()

    run(follow())
    assert "version 3 of shop serves now" in caplog.text
    assert caplog.text.count("answers its own example wrongly") == 1
    assert followed.failures("champion") > 1


def test_a_version_that_no_longer_serves_is_closed_only_after_its_requests(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_RETIRES_AFTER_S", 0.1)
    former = followed.answering.lineup.champion
    closed: list[bool] = []
    monkeypatch.setattr(former._reader, "close", lambda: closed.append(True))
    followed.write(champion=followed.train(2))

    async def switch() -> None:
        await followed.follower.catch_up(followed.answering)
        assert followed.serving == (2, None)
        assert closed == []
        await until(lambda: closed == [True])

    run(switch())


def test_a_version_is_warm_and_tried_before_it_serves_anybody(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving_meanwhile: list[tuple[int, int | None]] = []
    passed = trial.pass_by

    def watched(version: Version) -> None:
        passed(version)
        serving_meanwhile.append(followed.serving)

    monkeypatch.setattr(trial, "pass_by", watched)
    followed.write(champion=followed.train(2, estimator="xgboost"))
    followed.catch_up()
    assert serving_meanwhile == [(1, None)]
    assert followed.serving == (2, None)
    assert followed.answering.lineup.champion.explainer.ready


@pytest.mark.parametrize(("estimator", "tamper", "problem"), WRONG)
def test_a_champion_that_is_wrong_beside_its_graph_never_serves(
    followed: Followed, caplog: pytest.LogCaptureFixture, estimator: Any, tamper: Any, problem: str
) -> None:
    before = followed.answering.lineup
    followed.write(champion=tampered(followed.settings, tamper, estimator, version=2))
    with pytest.raises(UnavailableError, match="the former version serves"):
        run(followed.follower.reload(followed.answering))
    assert followed.answering.lineup is before
    assert problem in caplog.text


def test_a_challenger_that_breaks_in_a_way_nobody_foresaw_is_left_out(
    followed: Followed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "serving")

    def broken(_: Version) -> None:
        raise OSError("no such library")

    monkeypatch.setattr(trial, "pass_by", broken)
    followed.write(challenger=followed.train(2), share=0.5)
    for _ in range(3):
        followed.catch_up()
    assert followed.serving == (1, None)
    assert followed.failures("challenger") == 3
    assert caplog.text.count("without its challenger: OSError") == 1
    assert caplog.text.count("serves now") <= 1


def test_those_gone_are_closed_whatever_goes_wrong_after_the_switch(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_RETIRES_AFTER_S", 0.05)
    closed: list[bool] = []
    monkeypatch.setattr(followed.answering.lineup.champion._reader, "close", lambda: closed.append(True))

    def unsaid(*_: object) -> None:
        raise RuntimeError("nobody listens")

    monkeypatch.setattr(followed.follower, "announce", unsaid)
    followed.write(champion=followed.train(2))

    async def switch() -> None:
        with pytest.raises(RuntimeError):
            await followed.follower.catch_up(followed.answering)
        await until(lambda: closed == [True])

    run(switch())
    assert followed.serving == (2, None)


def test_a_document_that_says_the_same_again_passes_its_revision_on(followed: Followed) -> None:
    before = followed.answering.lineup
    followed.write()
    followed.catch_up()
    after = followed.answering.lineup
    assert after.revision == before.revision + 1
    assert after.versions == before.versions


def test_at_the_start_what_is_left_out_is_made_up_for_later(followed: Followed) -> None:
    champion = followed.answering.lineup.champion
    assert not champion.explainer.ready
    run(followed.follower.finish(followed.answering))
    assert champion.explainer.ready
    assert followed.failures("champion") == 0


def test_a_first_champion_with_a_wrong_booster_serves_by_its_graph_and_says_so(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    variant = tampered(followed.settings, of_another("booster.ubj"), version=2)
    lineup = followed.follower.load("shop", Traffic("shop", variant))
    followed.answering.lineup = lineup
    run(followed.follower.finish(followed.answering))
    assert "version 2 of shop serves in part: UserError" in caplog.text
    assert followed.failures("champion") == 1
    columns = bundles.training_rows(bundles.shop(), 3)[0]
    assert lineup.champion.probability(columns).tolist() == lineup.champion.bundle.predict(columns).tolist()


async def until(done: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if done():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came")
