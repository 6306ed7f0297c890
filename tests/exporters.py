"""A predictor's metrics without the predictor, for Prometheus to scrape: what was counted is known to the last one."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from churn.stores.live_metrics import Prometheus
from serving.metrics import Metrics
from tests.rollouts import wait_until
from tests.servers import free_port

DIGEST = "a" * 64


class Replica:
    """A predictor's metrics on a port, without the predictor: what was counted is known to the last request."""

    def __init__(self, model: str) -> None:
        self.model, self.port = model, free_port()
        self.metrics = self._fresh()
        handler = type("Handler", (_Handler,), {"replica": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _fresh(self) -> Metrics:
        metrics = Metrics()
        metrics.serving(self.model, {"champion": (1, DIGEST), "challenger": (2, DIGEST)})
        for variant in ("champion", "challenger"):
            metrics.request("v1 predict", 200, variant, 0.001)
            metrics.scored(variant, 1, 0.0001)
        return metrics

    def restart(self) -> None:
        """All counters begin anew."""
        self.metrics = self._fresh()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    replica: Replica

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.replica.metrics.render())

    def log_message(self, *_: object) -> None: ...


def scraped(prometheus: Prometheus, replicas: Sequence[Replica]) -> None:
    """Until Prometheus has seen the last of what was counted, on every replica."""
    mark = time.time()
    for one in replicas:
        one.metrics.load_seconds.set(mark)
    wanted = dict.fromkeys((f"127.0.0.1:{one.port}" for one in replicas), mark)

    def seen() -> bool:
        found = prometheus.query("churn_model_load_seconds", time.time())
        return {labels["instance"]: value for labels, value in found} == wanted

    wait_until(seen)


def count(replica: Replica, variant: str, requests: int, failures: int = 0, seconds: float = 0.0001) -> None:
    for _ in range(requests):
        replica.metrics.request("v1 predict", 200, variant, 0.001)
        replica.metrics.scored(variant, 1, seconds)
    for _ in range(failures):
        replica.metrics.challenger_failures.labels("split").inc()
