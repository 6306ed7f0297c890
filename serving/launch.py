"""Starting the predictor: what can be refused is refused before anything slow is imported or loaded."""

from __future__ import annotations

import logging
import os
import signal
import sys
from dataclasses import dataclass
from types import FrameType

from churn.domain.errors import UserError
from churn.stores.settings import Settings
from churn.stores.traffic import Traffic
from churn.stores.traffic_store import TrafficStore, open_traffic
from serving import memory, workers
from serving.access.admission import Access
from serving.access.options import AccessOptions
from serving.access.tls import Tls, TlsOptions
from serving.addresses import Address
from serving.journal import Lines
from serving.settings import ServingSettings

HOST = "127.0.0.1"
HTTP_PORT = 8080
GRPC_PORT = 8081


@dataclass(frozen=True)
class Where:
    """Addresses to listen on, and how many processes share them."""

    host: str = HOST
    http_port: int = HTTP_PORT
    grpc_port: int = GRPC_PORT
    workers: int = 1


def serve(settings: Settings, model: str, where: Where) -> int:
    """Serves the model's champion, and each that follows it, until SIGTERM or SIGINT; gives the exit code.

    Call it in the main thread. Raises UserError for settings that cannot be, when a port is taken, when there is no
    champion, or when its bundle cannot be used."""
    _leave_quietly_on_signals()
    os.environ.pop(workers.METRICS_FOLDER, None)  # Feast sets it, and a child would count in its parent's folder
    serving = ServingSettings.load(os.environ, settings)
    access, tls = AccessOptions.load(os.environ), TlsOptions.load(os.environ)
    serving.require_spool()
    access.require_safe(where.host, tls=tls is not None)
    Access(access).close()  # what is wrong with its files is said once, and now, not by each worker in some seconds
    if tls is not None:
        Tls(tls)
    if where.http_port and where.http_port == where.grpc_port:
        problem = f"HTTP and gRPC cannot both listen on port {where.http_port}"
        raise UserError(problem, remedy="choose another --grpc-port")
    http, grpc = Address(where.host, where.http_port).bind(), Address(where.host, where.grpc_port)
    grpc.probe()
    store = open_traffic(settings)
    document = _document(settings, store, model)

    def work() -> int:
        memory.keep_small()
        from serving.server import Options, PredictorServer

        options = Options(settings, serving, store, http, grpc, access, tls, workers=where.workers)
        PredictorServer(options, model, document).serve()
        return 0

    if where.workers == 1:
        return work()
    if not where.grpc_port:
        raise UserError("several workers need a port of their own for gRPC", remedy="choose a --grpc-port")
    return workers.supervise(where.workers, lambda: told(work))


def told(work: workers.Work) -> int:
    """`work`, and its complaint on stderr where the input is at fault."""
    try:
        return work()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a message for people, not for a log
        return workers.USERS_FAULT


def configure_logging() -> None:
    """The predictor's own news, and everybody else's warnings, to stderr, as JSON."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for ours in ("serving", "churn", "feature_repo"):
        logging.getLogger(ours).setLevel(logging.INFO)
    logging.getLogger("kserve").addHandler(logging.NullHandler())  # with one, KServe brings none of its own


def _document(settings: Settings, store: TrafficStore, model: str) -> Traffic:
    document = store.read(model)
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
