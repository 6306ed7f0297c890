"""The online store dies, hangs and comes back: who sends all features notices nothing, the others are told at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from churn.stores.settings import Settings
from serving.stock import grpc_predict_v2_pb2_grpc, pb
from tests import bundles
from tests.integration.feature_repo.lives import RedisProcess
from tests.load import Load
from tests.predictors import Predictor, running

ANN = bundles.CUSTOMER
QUICK_S = 1.0
"""Within which a refusal must be there; the deadline of a read is a quarter of it, the rest is for a busy machine."""

CROWD: dict[str | int, Any] = {f"c{number}": {**ANN, "visits": number % 40 + 1} for number in range(100)}


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    process = RedisProcess(tmp_path_factory.mktemp("redis"))
    process.start()
    yield process
    process.kill()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, redis: RedisProcess) -> Settings:
    folder = tmp_path_factory.mktemp("home")
    settings = Settings.load({"CHURN_HOME": str(folder), "CHURN_ONLINE_STORE": redis.url}).prepare()
    bundles.publish(settings, bundles.shop())
    bundles.remember(settings, bundles.shop(), {**bundles.CUSTOMERS, **CROWD})
    return settings


@pytest.fixture(scope="module")
def kept(home: Settings, redis: RedisProcess) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """All that Redis holds: it forgets it when it dies."""
    client = _client(redis)
    found = [(key, client.hgetall(key)) for key in client.keys("*") if client.type(key) == b"hash"]
    client.close()
    return found


@pytest.fixture
def served(running_one: Predictor, redis: RedisProcess, kept: list[tuple[bytes, dict[bytes, bytes]]]) -> Predictor:
    """Served, with Redis there and everybody in it."""
    client = _client(redis)
    for key, fields in kept:
        client.hset(key, mapping=fields)
    client.close()
    running_one.wait_for(lambda: by_id(running_one).status == 200)
    return running_one


@pytest.fixture(scope="module")
def running_one(home: Settings, redis: RedisProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    log = tmp_path_factory.mktemp("served") / "log.txt"
    with running(home.home, log, CHURN_ONLINE_STORE=redis.url) as predictor:
        yield predictor


def _client(redis: RedisProcess) -> Any:
    import redis as library

    return library.Redis(port=redis.port)


def by_id(served: Predictor, key: str = "ann") -> Any:
    return served.predict({"customer_id": key})


def test_a_hundred_customers_are_read_in_one_round_trip(served: Predictor, redis: RedisProcess) -> None:
    """Redis counts how often it finds something to read: waiting for each reply would be a hundred times."""
    client = _client(redis)
    before = client.info("stats")["total_reads_processed"]
    reply = served.predict(*({"customer_id": key} for key in CROWD))
    reads = client.info("stats")["total_reads_processed"] - before
    client.close()
    assert reply.status == 200
    assert [one["customer_id"] for one in reply.json["predictions"]] == list(CROWD)
    apart = by_id(served, "c7").json["predictions"][0]["probability"]
    assert reply.json["predictions"][7]["probability"] == apart
    assert reads < 10


@pytest.mark.parametrize("how", ["killed", "hanging"])
def test_without_the_store_only_who_needs_it_is_refused(served: Predictor, redis: RedisProcess, how: str) -> None:
    away = served.metric("churn_online_store_duration_seconds_count", outcome="away")
    with Load(served) as asking:
        asking.wait(10)
        redis.kill() if how == "killed" else redis.hang()
        try:
            slowest = 0.0
            for _ in range(20):
                started = time.monotonic()
                refused = by_id(served)
                slowest = max(slowest, time.monotonic() - started)
                assert (refused.status, refused.json["error"]["code"]) == (503, "unavailable")
                assert int(refused.headers["retry-after"]) >= 1
            assert slowest < QUICK_S
            _refused_in_grpc(served)
            assert served.predict({"customer_id": "ann", **ANN}).status == 200
            assert served.predict({**ANN}).status == 200
            many = served.predict({"customer_id": "ann"}, ANN)
            assert many.status == 503
            assert served.ready()
            assert served.send("/v2/health/ready").status == 200
            assert served.send("/v2/health/live").status == 200
            with grpc.insecure_channel(f"127.0.0.1:{served.grpc_port}") as channel:
                health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert health.status == health_pb2.HealthCheckResponse.SERVING
            asking.wait(10)
        finally:
            redis.start() if how == "killed" else redis.wake()
        back = time.monotonic()
        served.wait_for(lambda: by_id(served).status != 503)
        assert time.monotonic() - back < 10
    assert asking.faults == []
    assert served.metric("churn_online_store_duration_seconds_count", outcome="away") >= away + 20
    # A Redis that has died knows nobody any more, and says so; one that hung knows everybody.
    assert by_id(served).status == (404 if how == "killed" else 200)


def _refused_in_grpc(served: Predictor) -> None:
    request = pb.ModelInferRequest(model_name="shop")
    request.inputs.add(name="customer_id", datatype="BYTES", shape=[1], contents={"bytes_contents": [b"ann"]})
    with (
        grpc.insecure_channel(f"127.0.0.1:{served.grpc_port}") as channel,
        pytest.raises(grpc.RpcError) as refused,
    ):
        grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "retry-after" in dict(refused.value.trailing_metadata())


def test_a_store_that_is_away_at_the_start_holds_up_nobody(tmp_path: Path) -> None:
    """On SQLite, whose file is not there yet: the server is ready, and finds it when it is."""
    settings = bundles.settings_of(tmp_path / "home")
    bundles.publish(settings, bundles.shop())
    with running(settings.home, tmp_path / "log.txt") as predictor:
        refused = by_id(predictor)
        assert refused.status == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert predictor.predict({"customer_id": "ann", **ANN}).status == 200
        bundles.remember(settings, bundles.shop(), {"ann": ANN})
        predictor.wait_for(lambda: by_id(predictor).status == 200)
