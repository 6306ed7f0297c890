"""One process watches: it rolls back what exceeds its bounds, and acts only while it holds the lease."""

from __future__ import annotations

import contextlib
import datetime as dt
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from churn.domain.errors import UserError
from churn.stores import leases, rollout_decisions
from churn.stores.live_metrics import NoFiguresError, Prometheus
from churn.stores.traffic import promoted, withdrawn
from local.rollout.watching import Watch
from tests.exporters import Replica, count, scraped
from tests.predictors import PATIENCE_S, ROOT, environment
from tests.rollouts import DAY, Stage, wait_until
from tests.servers import free_port, prometheus_server

pytestmark = pytest.mark.usefixtures("prometheus_binary")
LEASE = "rollout/shop"


@pytest.fixture
def replica() -> Iterator[Replica]:
    made = Replica("shop")
    yield made
    made.stop()


@pytest.fixture
def prometheus(replica: Replica) -> Iterator[str]:
    with prometheus_server(f"127.0.0.1:{replica.port}") as address:
        scraped(Prometheus(address), [replica])
        yield address


class Watcher(Watch):
    """A watch whose words are kept."""

    def __init__(self, stage: Stage, prometheus: str, every_s: float = 0.2) -> None:
        self.said: list[str] = []
        super().__init__(stage.settings, {"CHURN_PROMETHEUS": prometheus}, "shop", every_s, self.said.append)


def holder(stage: Stage) -> str:
    found = leases.current(stage.settings.database, LEASE)
    return found.holder if found else ""


@contextlib.contextmanager
def running(watch: Watch, *, standby: bool = False) -> Iterator[None]:
    ended = threading.Event()
    thread = threading.Thread(target=watch.run, args=(ended,), kwargs={"standby": standby})
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(PATIENCE_S)


def test_a_challenger_that_breaks_is_rolled_back_at_once(home: Stage, replica: Replica, prometheus: str) -> None:
    home.challenge(home.variant(2))
    scraped(Prometheus(prometheus), [replica])
    watch = Watcher(home, prometheus)
    with running(watch):
        wait_until(lambda: watch.said)
        count(replica, "champion", 200)
        count(replica, "challenger", 200, failures=100)
        wait_until(lambda: home.document.challenger is None)
        wait_until(lambda: rollout_decisions.latest(home.settings.database, "shop"))
    assert watch.said[0] == "version 2 is watched beside version 1"
    (row,) = rollout_decisions.latest(home.settings.database, "shop")
    assert (row.action, row.by, row.champion, row.challenger) == ("roll back", "watch", 1, None)
    assert "requests failed, more than 10.0%" in row.reason
    assert leases.current(home.settings.database, LEASE) is None


def test_a_new_champion_that_is_slower_than_the_one_before_is_rolled_back(
    home: Stage, replica: Replica, prometheus: str
) -> None:
    count(replica, "champion", 300)
    second = home.variant(2)
    scraped(Prometheus(prometheus), [replica])
    time.sleep(1)  # documents are dated to the second, of which what was scraped is to be before
    home.put(promoted(home.document, "shop", second))
    scraped(Prometheus(prometheus), [replica])
    count(replica, "champion", 300, seconds=0.2)
    scraped(Prometheus(prometheus), [replica])
    Watcher(home, prometheus).look()
    assert (home.document.champion, home.document.previous) == (home.champion, None)
    (row,) = rollout_decisions.latest(home.settings.database, "shop")
    assert row.reason.startswith("version 2 is rolled back to version 1: its p99 is")


def test_a_champion_is_rolled_back_also_where_nothing_can_be_known_of_its_challenger(
    home: Stage, replica: Replica, prometheus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    count(replica, "champion", 300)
    second, third = home.variant(2), home.variant(3, seed=1)
    scraped(Prometheus(prometheus), [replica])
    time.sleep(1)
    home.put(promoted(home.document, "shop", second))
    home.challenge(third)
    scraped(Prometheus(prometheus), [replica])
    count(replica, "champion", 300, seconds=0.2)
    scraped(Prometheus(prometheus), [replica])

    def unknown(*_: object) -> None:
        raise NoFiguresError("gives a histogram that is none")

    watch = Watcher(home, prometheus)
    monkeypatch.setattr(watch._prometheus, "challenger", unknown)
    watch.look()
    assert (home.document.champion, home.document.challenger) == (home.champion, None)


def test_a_champion_is_watched_for_an_hour_and_no_longer(home: Stage, replica: Replica, prometheus: str) -> None:
    home.put(promoted(home.document, "shop", home.variant(2)))
    watch = Watcher(home, prometheus)
    watch.look()
    assert watch.said[-1].startswith("version 2 is watched until")
    home.since(dt.datetime.now(dt.UTC) - DAY, champion_since=dt.datetime.now(dt.UTC) - dt.timedelta(hours=2))
    count(replica, "champion", 300, seconds=1.0)
    scraped(Prometheus(prometheus), [replica])
    watch.look()
    assert watch.said[-1] == "nothing new about shop to watch"
    assert home.document.champion.version == 2


def test_of_two_watches_one_says_who_is_first_and_the_other_may_stand_by(home: Stage, prometheus: str) -> None:
    first, second, third = (Watcher(home, prometheus) for _ in range(3))
    with contextlib.ExitStack() as later:
        with running(first):
            wait_until(lambda: first.said)
            with pytest.raises(UserError, match=first.holder):
                second.run(threading.Event())
            later.enter_context(running(third, standby=True))
            wait_until(lambda: third.said)
            assert third.said[0].startswith(first.holder)
            assert holder(home) == first.holder
        wait_until(lambda: holder(home) == third.holder)
    assert holder(home) == ""


def test_who_has_lost_the_lease_does_nothing_any_more(home: Stage, replica: Replica, prometheus: str) -> None:
    before = home.challenge(home.variant(2))
    scraped(Prometheus(prometheus), [replica])
    count(replica, "challenger", 200, failures=100)
    scraped(Prometheus(prometheus), [replica])
    leases.acquire(home.settings.database, LEASE, "somebody else", 60)
    watch = Watcher(home, prometheus)
    watch.look()
    assert watch.said[-1].startswith("somebody else")
    assert home.document == before
    with pytest.raises(UserError, match="somebody else"):
        watch.run(threading.Event())


def test_a_challenger_that_somebody_took_out_meanwhile_is_no_error(
    home: Stage, replica: Replica, prometheus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.challenge(home.variant(2))
    scraped(Prometheus(prometheus), [replica])
    count(replica, "challenger", 200, failures=100)
    scraped(Prometheus(prometheus), [replica])
    watch = Watcher(home, prometheus)
    holds = watch._holds

    def meanwhile() -> bool:
        home.put(withdrawn(home.document))
        return holds()

    monkeypatch.setattr(watch, "_holds", meanwhile)
    watch.look()
    assert "nothing was changed by this one" in watch.said[-1]
    assert rollout_decisions.latest(home.settings.database, "shop") == []


def test_prometheus_away_is_said_once_and_decides_nothing(home: Stage) -> None:
    before = home.challenge(home.variant(2))
    watch = Watcher(home, f"http://127.0.0.1:{free_port()}", every_s=0.01)
    with running(watch):
        wait_until(lambda: watch.said)
        time.sleep(0.2)
    assert len(watch.said) == 1
    assert "does not answer" in watch.said[0]
    assert home.document == before


def test_without_a_prometheus_or_with_a_pause_that_is_none_nobody_watches(home: Stage) -> None:
    with pytest.raises(UserError, match="CHURN_PROMETHEUS"):
        Watcher(home, "")
    with pytest.raises(UserError, match="--every"):
        Watcher(home, "http://127.0.0.1:9", every_s=0)


def test_a_process_that_is_told_to_end_gives_the_lease_back(home: Stage, prometheus: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "local.main", "rollout", "watch", "--model", "shop", "--every", "0.5"]
    given = environment(home.settings.home, CHURN_PROMETHEUS=prometheus)
    url = home.settings.database
    with (tmp_path / "first.txt").open("w") as said:
        first = subprocess.Popen(command, cwd=ROOT, env=given, stderr=said)
    try:
        wait_until(lambda: leases.current(url, LEASE))
        second = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, check=False)
        assert second.returncode == 2
        assert f"/{first.pid}/" in second.stderr
        assert "watches it already" in second.stderr
        first.send_signal(signal.SIGTERM)
        assert first.wait(PATIENCE_S) == 0
    finally:
        first.kill()
    assert leases.current(url, LEASE) is None
    assert "nothing new about shop to watch" in (tmp_path / "first.txt").read_text()
