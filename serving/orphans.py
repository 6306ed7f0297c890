"""Workers do not outlive whoever started them: without a parent nobody could tell them to leave."""

from __future__ import annotations

import os
import signal
import sys
import time
from threading import Thread

_PR_SET_PDEATHSIG = 1
_LOOKS_EVERY_S = 1.0


def leave_with(parent: int) -> None:
    """Lets this process, just forked by `parent`, get a SIGTERM when that is gone, however it went."""
    if not _told_by_the_kernel():
        Thread(target=_watch, args=(parent,), name="orphans", daemon=True).start()
    if os.getppid() != parent:  # gone before anything could be arranged
        os.kill(os.getpid(), signal.SIGTERM)


def _told_by_the_kernel() -> bool:
    if sys.platform != "linux":
        return False
    import ctypes

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return bool(prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0) == 0)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOKS_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)
