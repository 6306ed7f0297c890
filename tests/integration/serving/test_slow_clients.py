"""Clients that send half, or slowly, or too much: they are cut, others are served, and memory does not grow."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from churn.stores.settings import Settings
from serving.stock import grpc_predict_v2_pb2_grpc, pb
from tests import bundles
from tests.http2 import half_a_message
from tests.load import Load
from tests.predictors import Predictor, running

ANN = bundles.CUSTOMER
LIMIT_S = 10
"""What has begun to arrive must be there by then; the tests leave it so, and wait for it once, for all at once."""
LIMIT_MB = 16
MB = 2**20

PREDICT = b"POST /v1/models/shop:predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
BODY = json.dumps({"instances": [ANN]}).encode()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    settings: Settings = bundles.settings_of(tmp_path_factory.mktemp("home"))
    bundles.publish(settings, bundles.shop())
    with running(settings.home, tmp_path_factory.mktemp("served") / "log.txt") as predictor:
        predictor.predict(*[ANN] * 300)  # what the first large batch needs is there from now on
        yield predictor


def connect(served: Predictor) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.http_port), timeout=LIMIT_S + 20)


def connect_grpc(served: Predictor) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.grpc_port), timeout=LIMIT_S + 20)


def rest(connection: socket.socket) -> bytes:
    """Everything until the server hangs up; a reset after that is as good."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65_536):
            found += part
    return found


def status(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 "), answer[:100]
    return int(answer[9:12])


def answered(connection: socket.socket) -> int:
    """The status of one whole answer, which may come in pieces; the connection is kept."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    answer.read()
    return answer.status


@dataclass
class Cut:
    answer: bytes
    after_s: float


def nothing(connection: socket.socket) -> None:
    """Connects, and says nothing."""


def half_a_line(connection: socket.socket) -> None:
    connection.sendall(b"POST /v1/models/sh")


def half_the_headers(connection: socket.socket) -> None:
    connection.sendall(PREDICT + b"X-Mo")


def half_the_body(connection: socket.socket) -> None:
    connection.sendall(PREDICT + b"Content-Length: 500\r\n\r\n" + BODY[:50])


def no_body(connection: socket.socket) -> None:
    connection.sendall(PREDICT + b"Content-Length: 500\r\n\r\n")


def half_a_chunk(connection: socket.socket) -> None:
    connection.sendall(PREDICT + b"Transfer-Encoding: chunked\r\n\r\n40\r\n" + BODY[:20])


def headers_byte_by_byte(connection: socket.socket) -> None:
    connection.sendall(PREDICT)
    _trickle(connection, b"X-Slow: " + b"a" * 1000)


def body_byte_by_byte(connection: socket.socket) -> None:
    connection.sendall(PREDICT + b"Content-Length: 1000\r\n\r\n")
    _trickle(connection, b" " * 1000)


def half_the_second_request(connection: socket.socket) -> None:
    connection.sendall(PREDICT + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
    assert answered(connection) == 200
    connection.sendall(PREDICT + b"Content-Length: 500\r\n\r\n" + BODY[:50])


def _trickle(connection: socket.socket, content: bytes) -> None:
    with contextlib.suppress(OSError):  # cut, and then closed at this end
        for place in range(len(content)):
            connection.sendall(content[place : place + 1])
            time.sleep(0.2)


SLOW: list[Callable[[socket.socket], None]] = [
    nothing,
    half_a_line,
    half_the_headers,
    half_the_body,
    no_body,
    half_a_chunk,
    headers_byte_by_byte,
    body_byte_by_byte,
    half_the_second_request,
]


def test_what_does_not_arrive_is_cut_while_others_are_served(served: Predictor) -> None:
    cuts: dict[str, Cut] = {}

    def ask(how: Callable[[socket.socket], None]) -> None:
        with connect(served) as connection:
            started = time.monotonic()
            speaking = threading.Thread(target=how, args=(connection,), daemon=True)
            if how is half_the_second_request:
                how(connection)
            else:
                speaking.start()
            cuts[how.__name__] = Cut(rest(connection), time.monotonic() - started)

    asking = [threading.Thread(target=ask, args=(how,)) for how in SLOW * 10]
    for thread in asking:
        thread.start()
    with Load(served) as load:
        for thread in asking:
            thread.join()
    assert load.faults == []
    assert len(load.answers) > 100
    assert set(cuts) == {how.__name__ for how in SLOW}
    for name, cut in cuts.items():
        assert LIMIT_S - 1 < cut.after_s < LIMIT_S + 10, name
        assert cut.answer == b"" if name == "nothing" else status(cut.answer) == 408, name
        if cut.answer:
            head, _, body = cut.answer.partition(b"\r\n\r\n")
            assert b"connection: close" in head
            assert json.loads(body)["error"]["code"] == "timeout"
    assert served.predict(ANN).status == 200


def test_a_kept_connection_may_rest_between_requests(served: Predictor) -> None:
    """The clock runs while a request arrives, not while a client has nothing to ask."""
    with connect(served) as connection:
        for _ in range(2):
            connection.sendall(PREDICT + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
            assert answered(connection) == 200
            time.sleep(1.5)


def peak_kb(served: Predictor) -> int:
    text = Path(f"/proc/{served.process.pid}/status").read_text(encoding="ascii")
    return int(next(line for line in text.splitlines() if line.startswith("VmHWM")).split()[1])


@contextlib.contextmanager
def no_growth(served: Predictor, most_mb: float = 8) -> Iterator[None]:
    """The server's peak memory within the block is at most so much above what it holds now."""
    Path(f"/proc/{served.process.pid}/clear_refs").write_text("5", encoding="ascii")
    before = peak_kb(served)
    yield
    grown = (peak_kb(served) - before) / 1024
    assert grown < most_mb, f"{grown:.1f} MB"


def flood(connection: socket.socket, megabytes: int, chunked: bool = False) -> float:
    """Sends until the server has had enough; gives how many MB it took."""
    block = b" " * MB
    for sent in range(megabytes):
        try:
            connection.sendall(b"%x\r\n%b\r\n" % (MB, block) if chunked else block)
        except (ConnectionError, TimeoutError):
            return sent
    return megabytes


@pytest.mark.parametrize(
    "path", ["/v1/models/shop:predict", "/v1/models/shop:explain", "/v2/models/shop/infer", "/model-info", "/nowhere"]
)
def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_there(served: Predictor, path: str) -> None:
    with no_growth(served), connect(served) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {2000 * MB}\r\n\r\n".encode())
        answer = connection.recv(65_536)
        assert status(answer) == 413
        assert flood(connection, 200) < 200, "it went on listening"
        assert b"connection: close" in answer.lower()


def test_a_body_that_turns_out_too_large_is_refused_and_not_kept(served: Predictor) -> None:
    with no_growth(served, 2 * LIMIT_MB + 8), connect(served) as connection:
        connection.sendall(PREDICT + b"Transfer-Encoding: chunked\r\n\r\n")
        taken = flood(connection, 300, chunked=True)
        assert taken < 100
        assert status(rest(connection) or b"HTTP/1.1 413 unread") == 413


def test_many_bodies_that_say_they_are_too_large_cost_nothing(served: Predictor) -> None:
    with no_growth(served), contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connect(served)) for _ in range(30)]
        for connection in connections:
            connection.sendall(PREDICT + b"Content-Length: %d\r\n\r\n" % (200 * MB))
        for connection in connections:
            assert status(connection.recv(65_536)) == 413


def test_a_message_that_is_too_large_for_grpc_is_refused_and_not_kept(served: Predictor) -> None:
    request = pb.ModelInferRequest(model_name="shop")
    request.inputs.add(name="spend", datatype="FP64", shape=[1])
    request.raw_input_contents.append(b"\0" * 100 * MB)
    options = [("grpc.max_send_message_length", -1)]
    with no_growth(served, 2 * LIMIT_MB), grpc.insecure_channel(f"127.0.0.1:{served.grpc_port}", options) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=30)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert served.ready()


def test_trailers_are_not_kept(served: Predictor) -> None:
    with no_growth(served), connect(served) as connection:
        body = b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY)
        connection.sendall(PREDICT + b"Transfer-Encoding: chunked\r\n\r\n" + body)
        trailer = b"X-Api-Key: " + b"a" * 1000 + b"\r\n"
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 100 * MB:
                sent += connection.send(trailer * 100)
        assert sent < 20 * MB, "it went on listening"
    assert served.predict(ANN).status == 200


def test_half_a_grpc_message_is_cut(served: Predictor) -> None:
    with connect_grpc(served) as connection:
        started = time.monotonic()
        connection.sendall(half_a_message("/inference.GRPCInferenceService/ModelInfer"))
        found = b""
        while b"did not arrive within 10 s" not in found:
            part = connection.recv(65_536)
            assert part, found
            found += part
        assert LIMIT_S - 1 < time.monotonic() - started < LIMIT_S + 10


@pytest.mark.parametrize("pieces", [1, 100])
@pytest.mark.parametrize("where", ["one header", "many headers", "the address"])
def test_more_than_64_kib_of_headers_are_refused(served: Predictor, where: str, pieces: int) -> None:
    extra = {
        "one header": b"X-Large: " + b"a" * 80_000 + b"\r\n",
        "many headers": b"".join(b"X-%d: %b\r\n" % (number, b"a" * 60) for number in range(1200)),
        "the address": b"",
    }[where]
    start = PREDICT if where != "the address" else PREDICT.replace(b":predict", b":predict?" + b"a" * 80_000)
    content = start + extra + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    size = len(content) // pieces + 1
    with connect(served) as connection:
        for place in range(0, len(content), size):
            try:
                connection.sendall(content[place : place + size])
            except ConnectionError:
                break
            if pieces > 1:
                time.sleep(0.002)
        assert status(rest(connection)) == 431
    assert served.predict(ANN).status == 200


def test_48_kib_of_headers_are_fine(served: Predictor) -> None:
    with connect(served) as connection:
        extra = b"X-Large: " + b"a" * 48_000 + b"\r\n"
        connection.sendall(PREDICT + extra + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
        assert status(connection.recv(65_536)) == 200
