"""Figures from a real Prometheus that scrapes the predictor's own metrics; and what is no figure."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from churn.domain.errors import UserError
from churn.stores.live_metrics import NoFiguresError, Prometheus, Window
from tests.exporters import Replica, count, scraped
from tests.rollouts import wait_until
from tests.servers import free_port, prometheus_server

pytestmark = pytest.mark.usefixtures("prometheus_binary")


@pytest.fixture
def shops() -> Iterator[list[Replica]]:
    """Two replicas of the shop's predictor, and one of another model."""
    made = [Replica("shop"), Replica("shop"), Replica("garage")]
    for one in made:
        for status in (500, 503):  # a counter that Prometheus has never seen grows from what it sees first
            one.metrics.request("v1 predict", status, "", 0.001)
    yield made
    for one in made:
        one.stop()


@pytest.fixture
def prometheus(shops: list[Replica]) -> Iterator[Prometheus]:
    with prometheus_server(*(f"127.0.0.1:{one.port}" for one in shops)) as address:
        found = Prometheus(address)
        wait_until(lambda: len(found.query("churn_model_info", time.time())) == 6)
        yield found


def pair(prometheus: Prometheus):
    return prometheus.challenger("shop", "split", Window(time.time(), 300))


def test_replicas_add_up_and_other_models_are_left_out(prometheus: Prometheus, shops: list[Replica]) -> None:
    first, second, other = shops
    count(first, "champion", 300)
    count(second, "champion", 500)
    count(first, "challenger", 100, failures=30)
    count(second, "challenger", 50, failures=20, seconds=0.2)
    count(other, "challenger", 5000, failures=5000)
    for status in (500, 503):
        for _ in range(10):
            second.metrics.request("v1 predict", status, "", 0.001)
    scraped(prometheus, shops)
    found = pair(prometheus)
    assert found.new.requests == pytest.approx(200, abs=1)
    assert found.new.errors == 50
    assert found.new.error_rate == pytest.approx(0.25, abs=0.01)
    assert (found.other.requests, found.other.errors) == (pytest.approx(810, abs=1), 10)
    assert found.new.scored == pytest.approx(150, abs=1)
    assert found.new.p99 is not None
    assert found.new.p99 > 0.1
    assert found.other.p99 is not None
    assert found.other.p99 <= 0.0001


def test_a_replica_that_starts_anew_takes_nothing_back(prometheus: Prometheus, shops: list[Replica]) -> None:
    first, *_ = shops
    count(first, "challenger", 400, failures=100)
    scraped(prometheus, shops)
    first.restart()
    scraped(prometheus, shops)
    count(first, "challenger", 100)
    scraped(prometheus, shops)
    found = pair(prometheus)
    assert found.new.requests >= 500
    assert found.new.errors == pytest.approx(100, rel=0.3)


def test_a_challenger_whom_nobody_has_asked_yet_has_no_requests(prometheus: Prometheus) -> None:
    found = prometheus.challenger("shop", "shadow", Window(time.time(), 300))
    assert (found.new.requests, found.new.errors, found.new.error_rate) == (0, 0, None)


def test_the_time_before_a_promotion_is_told_from_the_time_after(prometheus: Prometheus, shops: list[Replica]) -> None:
    first, *_ = shops
    count(first, "champion", 300)
    scraped(prometheus, shops)
    switched = time.time()
    time.sleep(2)
    found = prometheus.champion("shop", Window(time.time(), time.time() - switched), Window(switched, 300))
    assert found.other.requests == pytest.approx(300, abs=1)
    assert found.new.requests == 0


def test_predictors_that_are_gone_give_no_figures(prometheus: Prometheus, shops: list[Replica]) -> None:
    for one in shops:
        one.stop()
    wait_until(lambda: not prometheus.query('churn_model_info{model="shop"}', time.time()))
    with pytest.raises(NoFiguresError, match="knows no predictor that serves shop"):
        pair(prometheus)


def test_old_figures_are_none(prometheus: Prometheus) -> None:
    """Asked four minutes ahead, what was scraped now is as old as that."""
    with pytest.raises(NoFiguresError, match="no figures of shop from the last 180 s"):
        prometheus.challenger("shop", "split", Window(time.time() + 240, 300))


@contextmanager
def answering(body: bytes, status: int = 200, pause_s: float = 0.0, **headers: str) -> Iterator[tuple[str, list[str]]]:
    """Something that answers in Prometheus' place, and the Authorization headers that came."""
    came: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(self.headers.get("Authorization", ""))
            self.rfile.read(int(self.headers["Content-Length"]))  # what is left unread resets the connection
            time.sleep(pause_s)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", came
    server.shutdown()
    server.server_close()


def vector(value: object) -> bytes:
    result = [{"metric": {}, "value": [0, value]}]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (vector("NaN"), 200, "no number"),
        (vector("+Inf"), 200, "no number"),
        (vector(None), 200, "not Prometheus' API"),
        (b"<html>", 200, "not Prometheus' API"),
        (b"[]", 200, "not Prometheus' API"),
        (b'{"status": "success", "data": {"resultType": "scalar", "result": [0, "1"]}}', 200, "no vector"),
        (b"{}", 503, "answers 503"),
        (b"{}", 401, "CHURN_PROMETHEUS_TOKEN"),
        (b"x" * (5 << 20), 200, "too much"),
    ],
    ids=["nan", "infinite", "null", "html", "list", "scalar", "away", "refused", "endless"],
)
def test_what_is_no_figure_is_never_one(body: bytes, status: int, says: str) -> None:
    with answering(body, status) as (address, _), pytest.raises(NoFiguresError, match=says):
        Prometheus(address).query("up", 0)


def test_nobody_there_and_nobody_who_answers_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoFiguresError, match="refused"):
        Prometheus(f"http://127.0.0.1:{free_port()}").query("up", 0)
    monkeypatch.setattr("churn.stores.live_metrics._DEADLINE_S", 0.2)
    with answering(vector("1"), pause_s=2) as (address, _), pytest.raises(NoFiguresError, match="timed out"):
        Prometheus(address).query("up", 0)


def test_the_token_is_read_each_time_and_follows_no_redirect(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("sesame\n")
    with answering(vector("1")) as (address, came):
        asked = Prometheus.load({"CHURN_PROMETHEUS": address, "CHURN_PROMETHEUS_TOKEN": str(file)})
        assert asked is not None
        assert asked.query("up", 0) == [({}, 1.0)]
        file.write_text("renewed")
        asked.query("up", 0)
        assert came == ["Bearer sesame", "Bearer renewed"]
        with (
            answering(b"", 307, Location=f"{address}/api/v1/query") as (elsewhere, _),
            pytest.raises(NoFiguresError, match="answers 307"),
        ):
            Prometheus(elsewhere, str(file)).query("up", 0)
        assert len(came) == 2
    file.unlink()
    with pytest.raises(UserError, match="the token cannot be read"):
        asked.query("up", 0)


def test_what_is_no_address_is_refused() -> None:
    assert Prometheus.load({}) is None
    with pytest.raises(UserError, match="CHURN_PROMETHEUS"):
        Prometheus.load({"CHURN_PROMETHEUS": "prometheus:9090"})
