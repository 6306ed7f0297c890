"""`python -m serving`: the predictor as a container runs it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from churn.stores.settings import Settings
from serving import launch, workers
from serving.launch import Where


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 after a signal, 2 when the user's input is at fault."""
    given = _parser().parse_args(arguments)
    launch.configure_logging()
    where = Where(given.host, given.http_port, given.grpc_port, given.workers)
    return launch.told(lambda: launch.serve(Settings.load(), given.model, where))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serving", description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", default="telco", help="the model's name (default %(default)s)")
    parser.add_argument("--host", default=launch.HOST, help="where to listen (default %(default)s: this machine alone)")
    parser.add_argument("--http-port", type=_port, default=launch.HTTP_PORT, help="v1 and v2 (default %(default)s)")
    parser.add_argument("--grpc-port", type=_port, default=launch.GRPC_PORT, help="v2 (default %(default)s)")
    parser.add_argument(
        "--workers", type=_workers, default=1, help="processes that share the ports (default %(default)s)"
    )
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is no port")
    return int(text)


def _workers(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= workers.MOST:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of workers from 1 to {workers.MOST}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
