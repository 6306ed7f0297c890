"""`python -m serving`: the predictor as a container runs it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from churn.domain.errors import UserError
from churn.stores.settings import Settings
from serving import launch


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 after a signal, 2 when the user's input is at fault."""
    given = _parser().parse_args(arguments)
    launch.configure_logging()
    try:
        settings = Settings.load()
        launch.serve(settings, given.model, host=given.host, http_port=given.http_port, grpc_port=given.grpc_port)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a message for people, not for a log
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serving", description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", default="telco", help="the model's name (default %(default)s)")
    parser.add_argument("--host", default=launch.HOST, help="where to listen (default %(default)s: this machine alone)")
    parser.add_argument("--http-port", type=_port, default=launch.HTTP_PORT, help="v1 and v2 (default %(default)s)")
    parser.add_argument("--grpc-port", type=_port, default=launch.GRPC_PORT, help="v2 (default %(default)s)")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is no port")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
