"""HTTP as every request meets it: headers, ids, limits, who may ask what; without sockets."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from serving import translation
from serving.access import keys
from serving.access.admission import Access
from serving.access.headers import SECURITY, SECURITY_TLS
from serving.answering import Answering
from serving.desk import Desk
from serving.front import Front
from serving.journal import Journal, Lines
from serving.lineup import Lineup
from serving.metrics import Metrics
from serving.model import ChurnModel
from serving.recording import Recorder
from serving.version import Version
from tests import bundles
from tests.unit.serving.conftest import run

ANN = bundles.CUSTOMER
PREDICT, EXPLAIN, INFER = "/v1/models/shop:predict", "/v1/models/shop:explain", "/v2/models/shop/infer"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
LIMIT = 2000


class Counter:
    """A server without its sockets."""

    def __init__(self, shop: Version, access: Access, *, tls: bool = False) -> None:
        self.metrics, self.access = Metrics(), access
        recorder = Recorder(self.metrics, None, access)
        model = ChurnModel("shop", Answering("shop", Lineup(shop), recorder, 10))
        desk = Desk(model, access, self.metrics, recorder, Journal("all"))
        self.front = Front(desk, behind(), body_limit=LIMIT, tls=tls)

    def send(self, path: str, body: Any = None, method: str = "", **headers: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.front, raise_app_exceptions=True, client=("10.0.0.9", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                return await client.request(
                    method or ("GET" if body is None else "POST"), path, content=content, headers=named
                )

        return run(ask())

    def predict(self, *rows: Any, **headers: str) -> httpx.Response:
        return self.send(PREDICT, {"instances": list(rows)}, **headers)

    def counted(self, name: str) -> dict[str, float]:
        """Lines of a metric, by what follows its name."""
        text = self.metrics.render().decode().splitlines()
        return {key: float(n) for key, n in (line.rsplit(" ", 1) for line in text if line.startswith(name))}


def behind() -> FastAPI:
    """Routes of the test's own behind the front."""
    app = FastAPI()

    async def fine(_: Request) -> Response:
        return Response(b"{}", media_type="application/json")

    async def breaks(_: Request) -> Response:
        raise RuntimeError("canary-6060")

    async def takes(request: Request) -> Response:
        return Response(str(len(await request.body())))

    app.add_route("/model-info", fine)
    app.add_route("/breaks", breaks)
    app.add_route("/v2/breaks", breaks)
    app.add_route("/docs", fine)
    app.add_route("/metrics", fine)
    app.add_route("/takes", takes, methods=["POST"])
    for kind in (*translation.HANDLED, Exception):
        app.add_exception_handler(kind, translation.respond)
    return app


@pytest.fixture
def counter(shop: Version, access: Access) -> Counter:
    return Counter(shop, access)


@pytest.fixture
def guarded(shop: Version, tmp_path: Path) -> Iterator[Callable[..., tuple[Counter, str]]]:
    """Makes a server that lets in who has a key, and the key."""
    opened: list[Access] = []

    def make(*scopes: str, **fields: Any) -> tuple[Counter, str]:
        identity, key, digest = keys.make()
        entry = {"id": identity, "name": "call-centre", "hash": digest, "scopes": scopes, **fields}
        file = tmp_path / "keys.json"
        file.write_bytes(msgspec.json.encode({"keys": [entry]}))
        opened.append(Access.load({"CHURN_API_KEYS": str(file), "CHURN_AUDIT_FILE": str(tmp_path / "audit")}))
        return Counter(shop, opened[-1]), key

    yield make
    for one in opened:
        one.close()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (PREDICT, {"instances": [ANN]}),
        (EXPLAIN, {"instances": [ANN]}),
        (PREDICT, b"{"),
        (INFER, {"inputs": []}),
        ("/model-info", None),
        ("/nowhere", None),
        ("/breaks", None),
        (PREDICT, None),
    ],
)
def test_every_answer_has_the_security_headers_and_a_request_id(counter: Counter, path: str, body: Any) -> None:
    reply = counter.send(path, body)
    for name, value in SECURITY:
        assert reply.headers.get_list(name.decode()) == [value.decode()], name
    assert len(reply.headers.get_list("x-request-id")) == 1
    assert len(reply.headers["x-request-id"]) == 32
    assert "server" not in reply.headers
    assert "strict-transport-security" not in reply.headers


def test_over_tls_clients_are_told_to_stay_there(shop: Version, access: Access) -> None:
    reply = Counter(shop, access, tls=True).predict(ANN)
    assert {name.decode(): value.decode() for name, value in SECURITY_TLS}.items() <= dict(reply.headers).items()


def test_only_the_documentation_may_run_scripts(counter: Counter) -> None:
    assert "script-src 'self'" in counter.send("/docs").headers["content-security-policy"]
    assert "script-src" not in counter.send("/model-info").headers["content-security-policy"]


@pytest.mark.parametrize("path", [PREDICT, "/model-info", "/breaks", "/nowhere"])
def test_a_request_id_and_a_trace_are_carried_through(
    counter: Counter, capfd: pytest.CaptureFixture[str], path: str
) -> None:
    body = {"instances": [ANN]} if path == PREDICT else None
    reply = counter.send(path, body, x_request_id="mine-42", traceparent=TRACE)
    assert reply.headers["x-request-id"] == "mine-42"
    assert reply.headers["traceparent"].startswith(TRACE[:36])
    assert reply.headers["traceparent"] != TRACE
    line = json.loads(capfd.readouterr().err.splitlines()[-1])
    assert (line["request_id"], line["traceparent"]) == ("mine-42", reply.headers["traceparent"])


def test_a_request_id_that_could_split_a_header_is_replaced(counter: Counter) -> None:
    reply = counter.predict(ANN, x_request_id="a b;canary-1")
    assert "canary-1" not in str(reply.headers)


def test_each_request_has_one_line_and_is_counted_once_without_personal_data(
    counter: Counter, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    secret = {"customer_id": "canary-7", **ANN, "spend": 4242.25}
    sent = [
        counter.predict(secret, X_API_Key="canary-8.secret", Authorization="Bearer canary-9"),
        counter.predict({**secret, "plan": "canary-10"}),
        counter.predict({**secret, "canary-11": 1}),
        counter.send(EXPLAIN, {"instances": [secret]}),
        counter.send(f"{PREDICT}?key=canary-12", {"instances": [secret]}),
        counter.send("/canary-13"),
        counter.send("/breaks"),
        counter.send(PREDICT, b"canary-14"),
        counter.send(INFER, {"inputs": [], "id": "canary-15"}),
    ]
    said = capfd.readouterr().err
    requests = [json.loads(line) for line in said.splitlines() if '"serving.request"' in line]
    assert [line["status"] for line in requests] == [reply.status_code for reply in sent]
    assert len({line["request_id"] for line in requests}) == len(sent)
    everything = said + "\n".join(Lines().format(record) for record in caplog.records)
    assert "canary" not in everything
    assert "4242" not in everything
    assert sum(counter.counted("churn_requests_total").values()) == len(sent)


def test_what_nobody_foresaw_is_answered_once_and_said_once_without_its_text(
    counter: Counter, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        first, second = counter.send("/breaks"), counter.send("/v2/breaks")
    assert (first.status_code, first.json()["error"]["code"]) == (500, "internal")
    assert (second.status_code, second.json()["code"]) == (500, "internal")
    assert "canary-6060" not in first.text + second.text
    said = [Lines().format(record) for record in caplog.records if record.name.startswith("serving")]
    assert len(said) == 2
    assert all("RuntimeError at test_front.py" in line and "canary" not in line for line in said)


def test_a_hot_path_asked_by_another_method_says_which_would_do(counter: Counter) -> None:
    for path in (PREDICT, EXPLAIN, INFER):
        reply = counter.send(path)
        assert (reply.status_code, reply.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", [PREDICT, INFER, "/takes"])
def test_a_body_over_the_limit_is_refused_with_or_without_its_length(counter: Counter, path: str) -> None:
    async def parts() -> Any:
        for _ in range(30):
            yield b" " * 100

    async def ask(content: Any) -> httpx.Response:
        transport = httpx.ASGITransport(counter.front)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post(path, content=content)

    for content in (b" " * (LIMIT + 1), parts()):
        reply = run(ask(content))
        assert reply.status_code == 413
        assert reply.headers["connection"] == "close"
    if path == "/takes":
        assert run(ask(b" " * LIMIT)).text == str(LIMIT)


def test_a_body_that_is_longer_than_it_said_is_not_kept(counter: Counter) -> None:
    received: list[int] = []

    async def endless() -> dict[str, Any]:
        received.append(1)
        return {"type": "http.request", "body": b" " * 500, "more_body": True}

    assert run(ask_bare(counter, endless))["status"] == 413
    assert len(received) <= LIMIT // 500 + 1


def test_a_client_who_has_gone_is_not_answered(counter: Counter) -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    assert run(ask_bare(counter, gone)) is None


async def ask_bare(counter: Counter, receive: Any) -> Any:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": PREDICT, "headers": [], "client": None}
    await counter.front(scope, receive, send)
    return sent[0] if sent else None


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON", 200),
        ("text/plain", 415),
        ("application/octet-stream", 415),
        ("", 415),
    ],
)
def test_a_body_that_says_it_is_something_else_is_refused(counter: Counter, given: str, status: int) -> None:
    assert counter.predict(ANN, content_type=given).status_code == status


def test_binary_tensors_may_call_themselves_bytes(counter: Counter) -> None:
    head = json.dumps({"inputs": []}).encode()
    binary = counter.send(
        INFER, head, content_type="application/octet-stream", inference_header_content_length=str(len(head))
    )
    assert binary.status_code == 400
    assert counter.send(INFER, head, content_type="application/octet-stream").status_code == 415


def test_a_server_that_leaves_ends_each_connection(counter: Counter) -> None:
    assert "connection" not in counter.predict(ANN).headers
    counter.front.leaving = True
    for path, body in ((PREDICT, {"instances": [ANN]}), ("/model-info", None), (PREDICT, b"{")):
        assert counter.send(path, body).headers["connection"] == "close"


def test_who_may_predict_may_not_explain_and_learns_the_model_but_does_not_administer(
    guarded: Callable[..., tuple[Counter, str]],
) -> None:
    counter, key = guarded("predict")
    assert counter.predict(ANN).status_code == 401
    assert counter.predict(ANN, X_API_Key=key).status_code == 200
    assert counter.send("/model-info", X_API_Key=key).status_code == 200
    assert counter.send("/model-info").status_code == 401
    assert counter.send(EXPLAIN, {"instances": [ANN]}, X_API_Key=key).status_code == 403
    asked = {"instances": [ANN], "parameters": {"explain": True}}
    assert counter.send(PREDICT, asked, X_API_Key=key).status_code == 403
    assert counter.send("/v2/repository/models/shop/load", {}, X_API_Key=key).status_code == 403
    assert counter.counted("churn_access_refused_total") == {
        'churn_access_refused_total{reason="unauthenticated"}': 2,
        'churn_access_refused_total{reason="forbidden"}': 3,
    }


def test_probes_and_prometheus_need_no_key(guarded: Callable[..., tuple[Counter, str]]) -> None:
    counter, _ = guarded("predict")
    assert counter.send("/metrics").status_code == 200
    for path in ("/v2/health/ready", "/v2/health/live", "/v1/models/shop", "/v2/models/shop/ready", "/"):
        assert counter.send(path).status_code == 404, "it is let through to the routes behind"


def test_a_batch_pays_for_its_rows_and_one_that_is_too_large_pays_nothing(
    guarded: Callable[..., tuple[Counter, str]],
) -> None:
    counter, key = guarded("predict", rate="10/h")
    claimed = {"inputs": [{"name": "spend", "datatype": "FP64", "shape": [10**9], "data": [1.0]}]}
    assert counter.send(INFER, claimed, X_API_Key=key).status_code == 413
    reply = counter.predict(*[ANN] * 9, X_API_Key=key)
    assert reply.status_code == 200
    assert reply.headers["ratelimit-remaining"] == "0"
    late = counter.predict(ANN, X_API_Key=key)
    assert (late.status_code, late.json()["error"]["code"]) == (429, "too_many_requests")
    assert int(late.headers["retry-after"]) > 0


def test_a_caller_is_named_in_the_line_of_its_request(
    guarded: Callable[..., tuple[Counter, str]], capfd: pytest.CaptureFixture[str]
) -> None:
    counter, key = guarded("predict")
    counter.predict(ANN, X_API_Key=key)
    said = capfd.readouterr().err
    assert json.loads(said.splitlines()[-1])["caller"] == "call-centre"
    assert key not in said
