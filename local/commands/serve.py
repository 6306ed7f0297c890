"""`churn serve`: the predictor on the champion."""

from __future__ import annotations

from typing import Annotated

import typer


def serve(
    model: Annotated[str, typer.Option(help="Which model.")] = "telco",
    http_port: Annotated[int, typer.Option(help="Port for HTTP (v1 and v2).")] = 8080,
    grpc_port: Annotated[int, typer.Option(help="Port for gRPC (v2).")] = 8081,
    host: Annotated[
        str, typer.Option(help="Where to listen; beyond this machine, keys or tokens are needed.")
    ] = "127.0.0.1",
    workers: Annotated[int, typer.Option(help="Processes that share the ports.", min=1, max=64)] = 1,
) -> None:
    """Serve the champion with KServe on this machine, until Ctrl-C.

    Another promotion is picked up without a restart."""
    from local import server

    server.replace_process(server.Where(model, http_port, grpc_port, host, workers))
