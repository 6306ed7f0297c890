"""The server as it is put together; `test_life` starts it as a process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from kserve.model import InferenceVerb
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from churn.domain.errors import UserError
from churn.stores.settings import Settings
from churn.stores.traffic_store import open_traffic
from serving import __main__ as command
from serving import server as server_module
from serving import v1
from serving.access.options import AccessOptions
from serving.addresses import Address
from serving.answering import Answering
from serving.errors import UnavailableError
from serving.journal import Lines
from serving.lineup import Lineup
from serving.logbook import CLOSES_WITHIN_S
from serving.model import ChurnModel
from serving.server import Options, PredictorServer
from serving.settings import ServingSettings
from serving.stock import InferRequest, grpc_predict_v2_pb2_grpc
from serving.version import Version
from tests import bundles
from tests.unit.serving import test_v2_grpc as rpc
from tests.unit.serving.conftest import answering, predictions, run

ANN = bundles.CUSTOMER
SECRET = "the text of an exception, /etc/passwd and all"
PREDICT = "/v1/models/shop:predict"


@contextmanager
def made(settings: Settings, grpc_port: int = 0) -> Iterator[PredictorServer]:
    store = open_traffic(settings)
    document = store.read("shop")
    assert document
    serving = ServingSettings.load({"CHURN_LOG_DURABILITY": "off", "CHURN_DRAIN_SECONDS": "0"}, settings)
    with Address("127.0.0.1", 0).bind() as bound:
        options = Options(settings, serving, store, bound, Address("127.0.0.1", grpc_port), AccessOptions())
        yield PredictorServer(options, "shop", document)


@pytest.fixture
def server(settings: Settings, shop: Version) -> Iterator[PredictorServer]:
    with made(settings) as server:
        yield server


def get(server: PredictorServer, path: str, body: Any = None) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(server._front)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await (client.get(path) if body is None else client.post(path, json=body))

    return run(ask())


PROBES = ["/v2/health/ready", "/v2/models/shop/ready", "/v1/models/shop"]


def test_a_server_without_a_model_is_alive_and_not_ready(server: PredictorServer) -> None:
    assert get(server, "/v2/health/live").status_code == 200
    ready = get(server, "/v2/health/ready")
    assert (ready.status_code, ready.json()["code"]) == (503, "unavailable")


def test_a_server_whose_model_stopped_is_not_ready_and_still_answers_who_asks(server: PredictorServer) -> None:
    server.register_model(server._model)
    ask = {"instances": [ANN]}
    for path in PROBES:
        assert get(server, path).status_code == 200, path
    assert get(server, PREDICT, ask).status_code == 200
    server._model.ready = False
    for path in PROBES:
        assert get(server, path).status_code == 503, path
    assert run(server.dataplane.ready()) is False
    assert get(server, "/v2/health/live").status_code == 200
    assert get(server, PREDICT, ask).status_code == 200, "no request is lost while everybody learns of it"


def test_readiness_does_not_depend_on_the_online_store(server: PredictorServer) -> None:
    server.register_model(server._model)
    assert get(server, PREDICT, {"instances": [{"customer_id": "ann"}]}).status_code == 503
    assert get(server, "/v2/health/ready").status_code == 200


@contextmanager
def served_by_grpc(server: PredictorServer) -> Iterator[Callable[[Callable[[Any], Any]], Any]]:
    """Asks the server's gRPC service something; `ask` gets a channel."""
    port = run(bind(server))

    def asking(ask: Callable[[Any], Any]) -> Any:
        async def go() -> Any:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                return await ask(channel)

        return run(go())

    yield asking
    run(server._rpc.stop())


async def bind(server: PredictorServer) -> int:
    port = server._rpc.bind(server._servicer, 2**20)
    await server._rpc.start()
    return port


def test_what_nobody_foresaw_is_said_in_the_log_by_its_place_alone(
    server: PredictorServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(Answering, "answer", broken)
    reply = get(server, PREDICT, {"instances": [ANN]})
    assert (reply.status_code, reply.json()["error"]["code"]) == (500, "internal")
    assert SECRET not in reply.text
    with served_by_grpc(server) as ask, pytest.raises(grpc.RpcError) as refused:
        ask(lambda channel: stub(channel).ModelInfer(rpc.request(ANN)))
    assert refused.value.code() == grpc.StatusCode.INTERNAL
    assert SECRET not in str(refused.value)
    said = [Lines().format(record) for record in caplog.records if record.exc_info]
    assert len(said) == 2
    assert all("RuntimeError at test_server.py" in line and SECRET not in line for line in said)


def stub(channel: Any) -> Any:
    return grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)


def test_the_standard_health_service_says_what_http_says(server: PredictorServer) -> None:
    def check(service: str) -> Callable[[Any], Any]:
        return lambda channel: health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))

    states = health_pb2.HealthCheckResponse
    with served_by_grpc(server) as ask:
        for service in ("", "inference.GRPCInferenceService"):
            assert ask(check(service)).status == states.SERVING
        run(server._rpc.say(serving=False))
        assert ask(check("")).status == states.NOT_SERVING


def test_a_request_id_is_carried_over_grpc_when_it_is_refused(server: PredictorServer) -> None:
    with served_by_grpc(server) as ask, pytest.raises(grpc.RpcError) as refused:
        ask(
            lambda c: stub(c).ModelInfer(pb.ModelInferRequest(model_name="nope"), metadata=[("x-request-id", "mine-1")])
        )
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    assert dict(refused.value.trailing_metadata())["x-request-id"] == "mine-1"


def test_the_model_says_what_it_is(server: PredictorServer, shop: Version) -> None:
    document = get(server, "/model-info").json()
    champion = document["champion"]
    assert (document["model"], champion["version"], champion["digest"]) == ("shop", 1, shop.bundle.digest)
    assert champion["threshold"] == shop.bundle.manifest.threshold
    assert list(champion["features"]) == list(shop.contract.raw)
    assert champion["features"]["visits"] == {"type": "integer", "nullable": False, "range": [0, 500]}
    assert champion["explanations"] == "exact"
    assert "challenger" not in document


def test_a_grpc_port_taken_during_the_start_is_said(settings: Settings, shop: Version) -> None:
    taken = pytest.raises(UserError, match="cannot listen: Address already in use")
    with socket.create_server(("127.0.0.1", 0)) as other, made(settings, other.getsockname()[1]) as server, taken:
        run(server._serve_until_signal())


def test_all_that_is_waited_for_at_the_end_is_over_before_kubernetes_kills(settings: Settings) -> None:
    drain = ServingSettings.load({}, settings).drain
    assert drain + server_module.GRACE_S + server_module.SETTLES_S + CLOSES_WITHIN_S < 25


def test_requests_in_flight_of_both_protocols_are_waited_for_at_the_same_time(
    settings: Settings, shop: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC is told to stop while HTTP still answers."""
    seen: list[bool] = []

    async def leave() -> None:
        with made(settings) as server:
            over = asyncio.Event()
            serve, stop = server._rest.start, server._rpc.stop

            async def held_up() -> None:
                await serve()
                await asyncio.wait_for(over.wait(), 30)

            async def stopped() -> None:
                seen.append(over.is_set())
                over.set()
                await stop()

            monkeypatch.setattr(server._rest, "start", held_up)
            monkeypatch.setattr(server._rpc, "stop", stopped)
            serving = asyncio.create_task(server._serve_until_signal())
            await server._rest.started()
            server.stop(15)
            await serving

    run(leave())
    assert seen == [False]


def test_kserve_may_load_a_model_that_is_ready_and_changes_nothing(shop: Version) -> None:
    model = ChurnModel("shop", answering(shop))
    assert model.load()
    model.ready = False
    assert not model.load()


def test_kserves_own_way_in_answers_in_this_process_until_the_model_stops(shop: Version) -> None:
    model = ChurnModel("shop", answering(shop))
    (expected,) = predictions(shop, ANN)
    body, _ = run(model({"instances": [ANN]}))
    assert body["predictions"] == [expected]
    explained, _ = run(model({"instances": [ANN]}, verb=InferenceVerb.EXPLAIN))
    assert isinstance(explained["explanations"][0], v1.Answer)
    response, _ = run(model(InferRequest.from_grpc(rpc.request(ANN))))
    assert response.outputs[0].as_numpy().tolist() == [expected.probability]
    model.ready = False
    with pytest.raises(UnavailableError):
        run(model({"instances": [ANN]}))


def test_the_metadata_of_the_model_is_the_champions(shop: Version) -> None:
    model = ChurnModel("shop", answering(Lineup(shop)))
    assert [one["name"] for one in model.get_input_types()] == ["customer_id", *shop.contract.raw]
    assert model.get_output_types()[1] == {"name": "probability", "datatype": "FP64", "shape": [-1]}


def test_the_command_line_ends_with_2_for_what_the_user_can_change(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)
    monkeypatch.setenv("CHURN_HOME", str(tmp_path))
    ports = ["--http-port", "0", "--grpc-port", "0"]
    assert command.main(["--model", "shop", *ports]) == 2
    assert "no version of 'shop' has been promoted (train one: churn run training)" in capsys.readouterr().err
    assert command.main(["--model", "../shop", *ports]) == 2
    monkeypatch.setenv("CHURN_BATCH_LIMIT", "many")
    assert command.main(["--model", "shop", *ports]) == 2
    assert (
        "error: CHURN_BATCH_LIMIT: 'many' cannot be (give a whole number from 1 to 1000000)" in capsys.readouterr().err
    )
    monkeypatch.delenv("CHURN_BATCH_LIMIT")
    assert command.main(["--model", "shop", "--host", "0.0.0.0", *ports]) == 2
    assert "there are no API keys and no tokens" in capsys.readouterr().err
    for wrong in (["--http-port", "65536"], ["--workers", "0"], ["--workers", "65"], ["--worker", "2"]):
        with pytest.raises(SystemExit) as ended:
            command.main(wrong)
        assert ended.value.code == 2
