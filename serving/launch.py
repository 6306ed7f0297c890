"""Starting the predictor: what can be refused is refused before anything slow is imported or loaded."""

from __future__ import annotations

import logging
import signal
import sys
from types import FrameType

from churn.domain.errors import UserError
from churn.stores.settings import Settings
from churn.stores.traffic import Traffic
from churn.stores.traffic_store import TrafficStore, open_traffic
from serving.addresses import Address

HOST = "127.0.0.1"
HTTP_PORT = 8080
GRPC_PORT = 8081


def serve(
    settings: Settings, model: str, *, host: str = HOST, http_port: int = HTTP_PORT, grpc_port: int = GRPC_PORT
) -> None:
    """Serves the model's champion, and each that follows it, until SIGTERM or SIGINT. Call it in the main thread.

    Raises UserError when a port is taken, when there is no champion, or when its bundle cannot be used."""
    _leave_quietly_on_signals()
    if http_port and http_port == grpc_port:
        raise UserError(f"HTTP and gRPC cannot both listen on port {http_port}", remedy="choose another --grpc-port")
    http, grpc = Address(host, http_port).bind(), Address(host, grpc_port)
    grpc.probe()
    traffic = open_traffic(settings)
    document = _document(settings, traffic, model)

    from serving import champion

    loaded = champion.load(settings, model, document.champion)

    from serving.model import ChurnModel
    from serving.server import PredictorServer

    PredictorServer(settings, traffic, http, grpc).start([ChurnModel(model, loaded)])


def configure_logging() -> None:
    """The predictor's own news, and everybody else's warnings, to stderr."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("serving").setLevel(logging.INFO)
    logging.getLogger("kserve").addHandler(logging.NullHandler())  # with one, KServe brings none of its own


def _document(settings: Settings, traffic: TrafficStore, model: str) -> Traffic:
    document = traffic.read(model)
    if document is None:
        problem = f"no version of '{model}' has been promoted"
        raise UserError(problem, where=settings.traffic, remedy="train one: churn run training")
    return document


def _leave_quietly_on_signals() -> None:
    """Until the server takes over, a signal ends the process as if all were done."""

    def leave(_: int, __: FrameType | None) -> None:
        sys.exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
