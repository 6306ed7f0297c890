"""Runs a command, and leaves nothing of it behind: no process when it ends or the runner goes, and no scratch folder.

The runner alone holds the other end of standard input: it closes it to end the command, and the kernel closes it when
the runner is gone, were it killed with -9. Run as a script, with nothing but the standard library.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

_GRACE_SECONDS = 1.0


def main(scratch: str, *command: str) -> int:
    """Runs the command and returns its exit status, a signal as the shell counts it: 128 + its number."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603 (the runner's own)
    threading.Thread(target=_end_with_the_runner, args=(child.pid,), daemon=True).start()
    status = child.wait()
    _sweep(child.pid)
    shutil.rmtree(scratch, ignore_errors=True)
    return status if status >= 0 else 128 - status


def _end_with_the_runner(group: int) -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    _signal(group, signal.SIGKILL)


def _sweep(group: int) -> None:
    """Ends what the command left in its process group; what is about to end by itself may do so."""
    deadline = time.monotonic() + _GRACE_SECONDS
    while _signal(group, 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS answers the latter for a group of zombies
        os.killpg(group, number)
        return True
    return False


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
