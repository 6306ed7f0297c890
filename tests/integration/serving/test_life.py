"""How a predictor leaves: it says so first, answers what was asked, writes down what it answered, and is gone."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from churn.stores.settings import Settings
from tests import bundles
from tests.load import Load
from tests.predictors import PATIENCE_S, Predictor, running

ANN = bundles.CUSTOMER
NAMES = ("", "inference.GRPCInferenceService")
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """A home with version 1 in charge, and nothing online."""
    settings = bundles.settings_of(tmp_path / "home")
    bundles.publish(settings, bundles.shop())
    return settings


@pytest.fixture
def serve(home: Settings, tmp_path: Path) -> Iterator[Callable[..., Predictor]]:
    with contextlib.ExitStack() as stack:
        yield lambda **variables: stack.enter_context(running(home.home, tmp_path / "log.txt", **variables))


def logged(home: Settings) -> list[tuple[str, int]]:
    """Request ids and row numbers in the prediction log's embedded database."""
    with contextlib.closing(sqlite3.connect(f"file:{home.home}/churn.db?mode=ro", uri=True)) as connection:
        return connection.execute("SELECT request_id, row FROM predictions WHERE NOT shadow").fetchall()


def test_a_server_that_is_told_to_leave_says_so_answers_everybody_and_loses_no_row(
    serve: Callable[..., Predictor], home: Settings
) -> None:
    served = serve(CHURN_DRAIN_SECONDS=3)
    with grpc.insecure_channel(f"127.0.0.1:{served.grpc_port}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        asked = {name: health_pb2.HealthCheckRequest(service=name) for name in NAMES}
        watched = health.Watch(asked[""], timeout=PATIENCE_S)
        assert next(watched).status == SERVING
        assert health.Check(asked[NAMES[1]]).status == SERVING
        with pytest.raises(grpc.RpcError) as unknown:
            health.Check(health_pb2.HealthCheckRequest(service="nobody"))
        assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
        with Load(served, http=3, grpc=2) as load:
            load.wait(50)
            served.process.send_signal(signal.SIGTERM)
            told = time.monotonic()
            assert next(watched).status == NOT_SERVING
            assert time.monotonic() - told < 1
            assert {health.Check(one).status for one in asked.values()} == {NOT_SERVING}
            assert served.send("/v2/health/ready").status == 503
            assert served.send("/v2/models/shop/ready").status == 503
            assert served.send("/v1/models/shop").status == 503
            assert served.send("/v2/health/live").status == 200
            assert served.send("/").status == 200
            draining = served.predict(ANN)
            assert (draining.status, draining.headers["connection"]) == (200, "close")
            load.wait(50)  # whoever has not heard yet is answered
        code = served.process.wait(PATIENCE_S)
    assert load.faults == []
    assert {one.protocol for one in load.answers} == {"http", "grpc"}
    assert code == 0, served.said()
    assert "Traceback" not in served.said()
    rows = logged(home)
    assert len(rows) == len(load.answers) + 1
    assert {request for request, _ in rows} >= {one.request_id for one in load.answers}


def test_a_request_in_flight_ends_before_the_server_does(serve: Callable[..., Predictor], home: Settings) -> None:
    served = serve(CHURN_DRAIN_SECONDS=0, CHURN_BATCH_LIMIT=100_000)
    rows = [ANN] * 60_000
    headers = {"Content-Type": "application/json", "X-Request-Id": "large"}
    with socket.create_connection(("127.0.0.1", served.http_port)) as kept:  # an idle connection holds up nobody
        kept.settimeout(PATIENCE_S)
        asking = http.client.HTTPConnection("127.0.0.1", served.http_port, timeout=PATIENCE_S)
        asking.request("POST", "/v1/models/shop:predict", json.dumps({"instances": rows}), headers)
        served.process.send_signal(signal.SIGTERM)
        reply = asking.getresponse()
        answers = json.loads(reply.read())["predictions"]
        code = served.process.wait(PATIENCE_S)
        assert kept.recv(100) == b""
        asking.close()
    assert reply.status == 200
    assert len(answers) == len(rows)
    assert code == 0
    assert logged(home) == [("large", number) for number in range(len(rows))]
    levels = {line["level"] for line in served.lines()}
    assert levels <= {"INFO", "WARNING"}, served.said()


def test_a_second_signal_ends_the_draining(serve: Callable[..., Predictor], home: Settings) -> None:
    served = serve(CHURN_DRAIN_SECONDS=600, CHURN_LOG_DURABILITY="off")
    served.process.send_signal(signal.SIGINT)
    served.wait_for(lambda: not served.ready())
    assert served.predict(ANN).status == 200
    told = time.monotonic()
    assert served.stop(signal.SIGINT) == 0
    assert time.monotonic() - told < 10
    assert "Traceback" not in served.said()
    for kept in ("churn.db", "spool", "keys"):
        assert not Path(home.home, kept).exists(), "the prediction log is off"
