"""Runs a command, and ends its whole process group once the runner has gone, however it went.

The runner alone holds the other end of standard input; the kernel closes it even when the runner is killed with -9.
Run as a script, with nothing but the standard library.
"""

import os
import signal
import subprocess
import sys
import threading


def main(command: list[str]) -> int:
    """Runs the command and returns its exit status, a signal as the shell counts it: 128 + its number."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 (the runner's own)
    threading.Thread(target=_end_with_the_runner, daemon=True).start()
    status = child.wait()
    return status if status >= 0 else 128 - status


def _end_with_the_runner() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
