"""How a step tells people that their input is at fault."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from churn.domain.errors import UserError

EXIT_USER_ERROR = 2
TERMINATION_LOG = "CHURN_TERMINATION_LOG"

_KUBERNETES_TERMINATION_LOG = "/dev/termination-log"
_KUBERNETES_LIMIT_BYTES = 4096


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Ends the process with status 2 on a `UserError`: its message alone on stderr and in the termination log.

    The termination log is the file named by `CHURN_TERMINATION_LOG`, else the one Kubernetes mounts into a container,
    for `kubectl describe` to show. Every other exception passes through with its traceback.
    """
    try:
        yield
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        _write_termination_log(str(error))
        raise SystemExit(EXIT_USER_ERROR) from None


def _write_termination_log(message: str) -> None:
    path = os.environ.get(TERMINATION_LOG)
    if path is None and os.access(_KUBERNETES_TERMINATION_LOG, os.W_OK):
        path = _KUBERNETES_TERMINATION_LOG
    if path is not None:
        with contextlib.suppress(OSError):  # the exit status must not depend on a place to write
            Path(path).write_text(_shortened(message), encoding="utf-8")


def _shortened(message: str) -> str:
    return message.encode()[:_KUBERNETES_LIMIT_BYTES].decode(errors="ignore")
