"""Two workers behind one address: they share the ports, count together, replace the dead, and leave together."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from churn.stores.settings import Settings
from tests import bundles
from tests.load import Load
from tests.predictors import PATIENCE_S, Predictor, running

ANN = bundles.CUSTOMER
COUNTS = ("_total", "_count", "_bucket", "_sum")
"""How a sample ends that may never go backwards."""

Sample = tuple[str, tuple[tuple[str, str], ...]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = bundles.settings_of(tmp_path_factory.mktemp("home"))
    bundles.publish(settings, bundles.shop())
    return settings


@pytest.fixture(scope="module")
def served(home: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    log = tmp_path_factory.mktemp("served") / "log.txt"
    with running(home.home, log, "--workers", "2", CHURN_DRAIN_SECONDS=1) as predictor:
        predictor.wait_for(lambda: predictor.said().count("serves at") == 2)
        yield predictor


def workers(served: Predictor) -> list[psutil.Process]:
    return psutil.Process(served.process.pid).children()


def holders(served: Predictor, port: int) -> set[int]:
    """The workers who hold an open connection to a port."""
    return {
        worker.pid
        for worker in workers(served)
        for one in getattr(worker, "net_connections", worker.connections)("tcp")
        if one.status == psutil.CONN_ESTABLISHED and one.laddr.port == port
    }


def samples(served: Predictor) -> dict[Sample, float]:
    text = served.send("/metrics").body.decode()
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_both_take_connections_of_both_protocols(served: Predictor) -> None:
    assert len(workers(served)) == 2
    everybody = {worker.pid for worker in workers(served)}
    with contextlib.ExitStack() as stack:
        for number in range(40):
            address = ("127.0.0.1", served.http_port)
            stack.enter_context(socket.create_connection(address, timeout=30))
            local = [("grpc.use_local_subchannel_pool", 1), ("number", number)]
            channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{served.grpc_port}", local))
            health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), wait_for_ready=True)
            assert health.status == health_pb2.HealthCheckResponse.SERVING
        served.wait_for(lambda: holders(served, served.grpc_port) == everybody)
        served.wait_for(lambda: holders(served, served.http_port))
    with Load(served, http=6, grpc=0) as load:
        served.wait_for(lambda: holders(served, served.http_port) == everybody or load.faults)
    assert load.faults == []


def test_what_is_counted_is_counted_over_workers_and_protocols(served: Predictor) -> None:
    before = samples(served)
    with Load(served, http=4, grpc=4) as load:
        load.wait(200)
    refused = [served.predict({**ANN, "visits": -1}).status for _ in range(10)]
    assert load.faults == []
    assert refused == [422] * 10
    grown = {key: value - before.get(key, 0.0) for key, value in samples(served).items()}
    by_protocol = {kind: sum(one.protocol == kind for one in load.answers) for kind in ("http", "grpc")}

    def grew(name: str, **labels: str) -> float:
        return sum(v for (found, given), v in grown.items() if found == name and labels.items() <= dict(given).items())

    http = {"route": "v1 predict", "status": "200", "variant": "champion"}
    assert grew("churn_requests_total", **http) == by_protocol["http"]
    assert grew("churn_requests_total", **http | {"route": "grpc infer"}) == by_protocol["grpc"]
    assert grew("churn_requests_total", route="v1 predict", status="422") == 10
    assert grew("churn_request_duration_seconds_count", route="v1 predict") == by_protocol["http"] + 10
    assert grew("churn_predictions_total") == len(load.answers)
    assert grew("churn_probability_count", version="1") == len(load.answers)
    p = sum(one.probability for one in load.answers)
    assert grew("churn_probability_sum", version="1") == pytest.approx(p, rel=1e-6)
    versions = {key: value for key, value in samples(served).items() if key[0] == "churn_model_info"}
    assert list(versions.values()) == [1.0], "one version, however many serve it"


def test_a_worker_that_dies_is_replaced_and_no_metric_goes_backwards(served: Predictor, home: Settings) -> None:
    before, everybody = samples(served), {worker.pid for worker in workers(served)}
    victim = workers(served)[0]
    victim.kill()
    died = time.monotonic()
    while time.monotonic() - died < 2:  # the other one goes on; what waits for the dead one goes with it
        with contextlib.suppress(OSError):
            assert served.predict(ANN).status == 200
    served.wait_for(lambda: len({one.pid for one in workers(served)} - everybody) == 1)
    served.wait_for(lambda: served.said().count("serves at") == 3)
    assert f"worker {victim.pid} ended with -9" in served.said()
    with Load(served, http=4, grpc=4) as load:
        load.wait(100)
    assert load.faults == []
    after = samples(served)
    for key, value in before.items():
        if key[0].endswith(COUNTS):
            assert after.get(key, -1.0) >= value, key
    assert served.metric("churn_model_info") == 1
    assert served.metric("churn_predictions_total") >= sum(
        value for (name, _), value in before.items() if name == "churn_predictions_total"
    ) + len(load.answers)


def test_a_new_champion_serves_in_all_of_them(served: Predictor, home: Settings) -> None:
    variant = bundles.publish(home, bundles.shop(), 2, seed=5)
    with Load(served, http=4, grpc=4) as load:
        served.wait_for(lambda: served.said().count("version 2 of shop serves now") == 2 or load.faults)
        load.wait(30)
        asked = len(load.answers)
        load.wait(60)
    assert load.faults == []
    assert {one.version for one in load.answers[asked:]} == {variant.version}
    info = {dict(key[1])["version"]: value for key, value in samples(served).items() if key[0] == "churn_model_info"}
    assert info["2"] == 1
    assert info.get("1", 0) == 0


def test_they_leave_together_and_lose_nothing(served: Predictor, home: Settings) -> None:
    """Ends the server, so it stands last."""
    left = workers(served)
    folder = Path(left[0].environ()["CHURN_HOME"])
    assert folder == home.home
    with Load(served, http=4, grpc=4) as load:
        load.wait(50)
        served.process.terminate()
        served.wait_for(lambda: not served.ready())
        load.wait(20)
    assert served.process.wait(PATIENCE_S) == 0, served.said()
    assert load.faults == []
    _, alive = psutil.wait_procs(left, timeout=1)
    assert not alive
    rows = _logged(home)
    assert {one.request_id for one in load.answers} <= set(rows)
    assert len(rows) == len(set(rows)), "written once each"
    assert "Traceback" not in served.said()


def _logged(home: Settings) -> list[Any]:
    with contextlib.closing(sqlite3.connect(f"file:{home.home}/churn.db?mode=ro", uri=True)) as connection:
        return [request for (request,) in connection.execute("SELECT request_id FROM predictions")]
