from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from churn.domain.errors import UserError
from churn.stores.settings import Settings
from churn.stores.traffic_store import open_traffic
from serving import __main__ as command
from serving import champion, translation, watch
from serving.addresses import Address
from serving.champion import Champion
from serving.errors import Fault, InvalidValuesError, RequestError, UnavailableError
from serving.model import ChurnModel
from serving.server import PredictorServer
from serving.stock import grpc_predict_v2_pb2_grpc, kserve_errors
from tests import bundles

SECRET = "the text of an exception, /etc/passwd and all"


@pytest.fixture
def server(settings: Settings) -> Iterator[PredictorServer]:
    with Address("127.0.0.1", 0).bind() as bound:
        yield PredictorServer(settings, open_traffic(settings), bound, Address("127.0.0.1", 0))


class Broken(ChurnModel):
    async def predict(self, _payload: Any, _headers: Any = None, _answered: Any = None) -> Any:
        raise RuntimeError(SECRET)


async def get(server: PredictorServer, path: str, body: Any = None) -> httpx.Response:
    transport = httpx.ASGITransport(server._rest.config.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await (client.get(path) if body is None else client.post(path, json=body))


def test_a_server_without_a_model_is_alive_and_not_ready(server: PredictorServer) -> None:
    assert asyncio.run(get(server, "/v2/health/live")).status_code == 200
    ready = asyncio.run(get(server, "/v2/health/ready"))
    assert (ready.status_code, ready.json()["code"]) == (503, "unavailable")


def test_a_server_whose_model_stopped_is_not_ready_and_answers_nothing(server: PredictorServer, shop: Champion) -> None:
    model = ChurnModel("shop", shop)
    server.register_model(model)
    ask = {"instances": [bundles.CUSTOMER]}
    assert asyncio.run(get(server, "/v2/health/ready")).json() == {"ready": True}
    assert asyncio.run(get(server, "/v1/models/shop:predict", ask)).status_code == 200
    model.stop()
    for path, body in (
        ("/v2/health/ready", None),
        ("/v2/models/shop/ready", None),
        ("/v1/models/shop", None),
        ("/v1/models/shop:predict", ask),
    ):
        assert asyncio.run(get(server, path, body)).status_code == 503, path
    assert asyncio.run(server.dataplane.ready()) is False


def test_what_nobody_foresaw_is_said_in_the_log_alone(
    server: PredictorServer, shop: Champion, caplog: pytest.LogCaptureFixture
) -> None:
    server.register_model(Broken("shop", shop))
    reply = asyncio.run(get(server, "/v1/models/shop:predict", {"instances": [bundles.CUSTOMER]}))
    assert (reply.status_code, reply.json()["error"]["code"]) == (500, "internal")
    assert SECRET not in reply.text
    refused = asyncio.run(ask_by_grpc(server))
    assert refused.code() == grpc.StatusCode.INTERNAL
    assert SECRET not in str(refused)
    assert SECRET in caplog.text


async def ask_by_grpc(server: PredictorServer) -> grpc.RpcError:
    port = server._rpc.bind()
    await server._rpc.start()
    tensor = pb.ModelInferRequest.InferInputTensor(
        name="spend", datatype="FP64", shape=[1], contents={"fp64_contents": [1.0]}
    )
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            await stub.ModelInfer(pb.ModelInferRequest(model_name="shop", inputs=[tensor]))
    await server._rpc.stop()
    return refused.value


def test_kserve_may_load_a_model_that_is_ready_and_changes_nothing(shop: Champion) -> None:
    model = ChurnModel("shop", shop)
    assert model.load()
    model.stop()
    assert not model.load()


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (kserve_errors.InvalidInput(SECRET), 400, "INVALID_ARGUMENT"),
        (ClientDisconnect(), 400, "INVALID_ARGUMENT"),
        (kserve_errors.ModelNotFound(SECRET), 404, "NOT_FOUND"),
        (kserve_errors.ModelNotReady(SECRET), 503, "UNAVAILABLE"),
        (kserve_errors.ServerNotReady(SECRET), 503, "UNAVAILABLE"),
        (NotImplementedError(SECRET), 501, "UNIMPLEMENTED"),
        (kserve_errors.UnsupportedProtocol(SECRET), 501, "UNIMPLEMENTED"),
        (HTTPException(405, SECRET), 405, "NOT_FOUND"),
        (ValueError(SECRET), 500, "INTERNAL"),
        (UserError(SECRET), 500, "INTERNAL"),
        (UnavailableError("not now"), 503, "UNAVAILABLE"),
    ],
)
def test_every_exception_has_a_status_and_keeps_its_text(error: Exception, status: int, code: str) -> None:
    refusal = translation.translate(error)
    assert (refusal.status, refusal.grpc) == (status, code)
    for open_inference in (True, False):
        assert SECRET not in str(translation.rest_body(refusal, open_inference=open_inference))
    assert SECRET not in translation.grpc_message(refusal)


def test_the_two_protocols_have_their_own_form_of_an_error() -> None:
    refusal = InvalidValuesError([Fault("a", "is b"), Fault("c", "is d")])
    beside = {"code": "invalid_values", "details": refusal.details}
    assert translation.rest_body(refusal, open_inference=True) == {"error": "a is b (and 1 more)", **beside}
    assert translation.rest_body(refusal, open_inference=False) == {
        "error": {"message": "a is b (and 1 more)", **beside}
    }
    assert translation.grpc_message(refusal) == "a is b\nc is d"
    assert translation.grpc_message(RequestError("so")) == "so"


def test_an_address_that_cannot_be_had_is_the_users_to_change() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = Address("127.0.0.1", other.getsockname()[1])
        with pytest.raises(UserError, match=f"{taken}: cannot listen: Address already in use"):
            taken.probe()
    taken.probe()
    with pytest.raises(UserError, match="cannot listen"):
        Address("no.such.host.invalid", 80).bind()
    assert str(Address("::1", 80)) == "[::1]:80"


def test_a_grpc_port_taken_during_the_start_is_said(server: PredictorServer, shop: Champion) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        server._grpc_address = Address("127.0.0.1", other.getsockname()[1])
        server._rpc._address = str(server._grpc_address)
        with pytest.raises(UserError, match="cannot listen: Address already in use"):
            asyncio.run(server._serve_until_signal(ChurnModel("shop", shop)))


def test_the_command_line_ends_with_2_for_what_the_user_can_change(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setenv("CHURN_HOME", str(tmp_path))
    assert command.main(["--model", "shop", "--http-port", "0", "--grpc-port", "0"]) == 2
    assert "no version of 'shop' has been promoted (train one: churn run training)" in capsys.readouterr().err
    assert command.main(["--model", "../shop", "--http-port", "0", "--grpc-port", "0"]) == 2
    with pytest.raises(SystemExit) as ended:
        command.main(["--http-port", "65536"])
    assert ended.value.code == 2


def test_the_follower_switches_survives_and_says_a_problem_once(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "serving")
    monkeypatch.setattr(watch, "INTERVAL_S", 0.01)
    settings = bundles.settings_of(tmp_path)
    model = ChurnModel("shop", champion.load(settings, "shop", bundles.publish(settings, bundles.shop())))

    async def follow() -> None:
        following = asyncio.create_task(watch.follow(settings, open_traffic(settings), model))
        await asyncio.sleep(0.1)
        assert model.champion.variant.version == 1
        bundles.publish(settings, bundles.shop(), version=2, seed=1, wrong_by=0.5)
        await until(lambda: "answers its own example wrongly" in caplog.text)
        await asyncio.sleep(0.2)
        assert model.champion.variant.version == 1
        bundles.publish(settings, bundles.shop(), version=3, seed=2)
        await until(lambda: model.champion.variant.version == 3)
        await until(lambda: "version 3 of shop serves now" in caplog.text)
        following.cancel()

    asyncio.run(follow())
    assert caplog.text.count("answers its own example wrongly") == 1


async def until(done: Any) -> None:
    for _ in range(1_000):
        if done():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came")
