"""Watches over a step, and leaves nothing of it behind: no process when it ends or the runner goes, no scratch folder.

The runner alone holds the other end of the leash: it closes it to end the step, and the kernel closes it when the
runner is gone, were it killed with -9. Run as a script, with nothing but the standard library, and standard input for
a leash.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

_GRACE_SECONDS = 1.0


def start(  # noqa: PLR0913
    command: Sequence[str | Path],
    scratch: Path,
    *,
    cwd: Path,
    env: Mapping[str, str],
    output: BinaryIO | int,
    pass_fds: Collection[int] = (),
) -> subprocess.Popen[bytes]:
    """A process of this file that watches over the command; its standard input is the leash."""
    return subprocess.Popen(  # noqa: S603 (the runner's own)
        [sys.executable, "-I", "-S", __file__, scratch, *command],
        cwd=cwd,
        env=env,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        pass_fds=pass_fds,
        start_new_session=True,
    )


def main(scratch: str, *command: str) -> int:
    """Runs the command and returns its exit status, a signal as the shell counts it: 128 + its number."""
    child = subprocess.Popen(  # noqa: S603 (the runner's own)
        command, stdin=subprocess.DEVNULL, start_new_session=True, close_fds=False
    )
    return keep(child.pid, sys.stdin.fileno(), scratch)


def keep(group: int, leash: int, scratch: str) -> int:
    """Waits for a child that leads a process group, sweeps behind it, and returns its exit status as `main` does."""
    threading.Thread(target=_end_with_the_runner, args=(group, leash), daemon=True).start()
    status = os.waitstatus_to_exitcode(os.waitpid(group, 0)[1])
    _sweep(group)
    shutil.rmtree(scratch, ignore_errors=True)
    return status if status >= 0 else 128 - status


def _end_with_the_runner(group: int, leash: int) -> None:
    with contextlib.suppress(ConnectionError):
        while os.read(leash, 1):
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
