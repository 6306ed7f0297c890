"""Clients that ask a predictor over and over, over kept HTTP connections and gRPC channels, and keep every answer."""

from __future__ import annotations

import http.client
import json
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any, Self

from tests import bundles
from tests.predictors import Predictor
from tests.tensors import tensors

PAUSE_S = 0.003
"""Between two requests of a client: the tests are about what is lost, and the machine has other things to do."""


@dataclass(frozen=True)
class Answered:
    """One answer; the request had this id."""

    protocol: str
    request_id: str
    version: int
    variant: str
    probability: float
    customer: str = ""


class Load:
    """Asks between `with` and its end. A request that was sent and has no answer, or another than 200, is in `faults`.

    With `ids`, each request is of another customer. A client that finds nobody listening any more ends; that is no
    fault, since nothing was asked."""

    def __init__(self, predictor: Predictor, http: int = 2, grpc: int = 1, ids: int = 0) -> None:
        self._predictor = predictor
        self._ids = ids
        self.answers: list[Answered] = []
        self.faults: list[str] = []
        self._over = threading.Event()
        if grpc:
            import serving.stock  # noqa: F401 - takes seconds, which are not to be those of the test
        kinds = [self._http] * http + [self._grpc] * grpc
        self._counts = [0] * len(kinds)
        self._threads = [threading.Thread(target=kind, args=(own,), daemon=True) for own, kind in enumerate(kinds)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Asks no more, and waits for the answers."""
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def wait(self, count: int) -> None:
        """Until there are so many answers more, of each client two at least: what was open now is answered then."""
        wanted, before = len(self.answers) + count, list(self._counts)

        def is_there() -> bool:
            each = all(now >= then + 2 for now, then in zip(self._counts, before, strict=True))
            return each and len(self.answers) >= wanted

        self._predictor.wait_for(lambda: is_there() or self.faults)

    def versions(self) -> set[int]:
        return {one.version for one in self.answers}

    def _customer(self) -> dict[str, Any]:
        named = {"customer_id": f"customer-{uuid.uuid4().int % self._ids}"} if self._ids else {}
        return {**bundles.CUSTOMER, **named}

    def _answered(self, client: int, one: Answered) -> None:
        self.answers.append(one)
        self._counts[client] += 1
        time.sleep(PAUSE_S)

    def _http(self, client: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._predictor.http_port, timeout=30)
        while not self._over.is_set():
            own, customer = uuid.uuid4().hex, self._customer()
            headers = {"Content-Type": "application/json", "X-Request-Id": own}
            if self._predictor.key:
                headers["X-API-Key"] = self._predictor.key
            try:
                connection.connect() if connection.sock is None else None
            except ConnectionError:
                break
            try:
                body = json.dumps({"instances": [customer]})
                connection.request("POST", "/v1/models/shop:predict", body, headers)
                reply = connection.getresponse()
                content = reply.read()
            except (OSError, http.client.HTTPException) as error:
                self.faults.append(f"http: {type(error).__name__}: {error}")
                break
            if reply.status != 200 or reply.headers["x-request-id"] != own:
                self.faults.append(f"http: {reply.status}: {content[:300]!r}")
                break
            (one,) = json.loads(content)["predictions"]
            self._answered(client, _answered("http", own, one, customer))
        connection.close()

    def _grpc(self, client: int) -> None:
        import grpc

        from serving.stock import grpc_predict_v2_pb2_grpc

        with grpc.insecure_channel(f"127.0.0.1:{self._predictor.grpc_port}", [("grpc.enable_retries", 0)]) as channel:
            stub = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
            while not self._over.is_set():
                own, customer = uuid.uuid4().hex, self._customer()
                metadata = [("x-request-id", own)]
                if self._predictor.key:
                    metadata.append(("x-api-key", self._predictor.key))
                try:
                    reply = stub.ModelInfer(infer_request(customer), timeout=30, metadata=metadata)
                except grpc.RpcError as error:
                    if "refused" not in str(error.details()):  # nobody listens: nothing was asked
                        self.faults.append(f"grpc: {error.code()}: {error.details()}")
                    break
                self._answered(client, _answered("grpc", own, outputs(reply), customer))


def _answered(protocol: str, own: str, one: dict[str, Any], customer: dict[str, Any]) -> Answered:
    customer_id = customer.get("customer_id", "")
    return Answered(protocol, own, one["model_version"], one["variant"], one["probability"], customer_id)


def infer_request(customer: dict[str, Any]) -> Any:
    """A gRPC request for one customer."""
    from serving.stock import pb

    request = pb.ModelInferRequest(model_name="shop")
    contents = {"BYTES": "bytes_contents", "INT64": "int64_contents", "FP64": "fp64_contents"}
    named = {"customer_id": customer["customer_id"]} if "customer_id" in customer else {}
    for one in tensors():
        request.inputs.add(**_filled(one["name"], one["datatype"], one["data"], contents))
    for name, value in named.items():
        request.inputs.add(**_filled(name, "BYTES", [value], contents))
    return request


def _filled(name: str, datatype: str, data: list[Any], contents: dict[str, str]) -> dict[str, Any]:
    values = [value.encode() if isinstance(value, str) else value for value in data]
    return {"name": name, "datatype": datatype, "shape": [len(data)], "contents": {contents[datatype]: values}}


def outputs(reply: Any) -> dict[str, Any]:
    """The first customer's values by output."""
    found: dict[str, Any] = {}
    for tensor in reply.outputs:
        for _, values in tensor.contents.ListFields():
            found[tensor.name] = values[0].decode() if isinstance(values[0], bytes) else values[0]
    return found
