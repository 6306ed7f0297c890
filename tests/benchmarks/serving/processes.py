"""Servers as processes of their own, and what they take from the machine."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 90
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Process:
    """A server with all of its children. `started_s` is from the command to its first word that it is ready."""

    popen: subprocess.Popen[bytes]
    started_s: float
    log: Path

    def cpu_s(self) -> float:
        """Seconds of CPU, of user and system, that the living processes of the tree have taken so far."""
        return sum(_fields(pid)[0] for pid in self.tree())

    def memory_mb(self) -> list[float]:
        """Resident megabytes of each process of the tree, the parent's first."""
        return [_fields(pid)[1] for pid in self.tree()]

    def tree(self) -> list[int]:
        children = defaultdict(list)
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal() and (parent := _parent(folder)) is not None:
                children[parent].append(int(folder.name))
        found = [self.popen.pid]
        for pid in found:  # grows while it is read
            found += children[pid]
        return found


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], ready: str, log: Path, folder: Path
) -> Iterator[Process]:
    """A server started in `folder`, from the moment that a GET of `ready` gives 200.

    Raises RuntimeError with the end of its log when it ends before, or takes too long."""
    begun = time.monotonic()
    with log.open("wb") as said:
        popen = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said, start_new_session=True)
    try:
        while not _gives_200(ready):
            if popen.poll() is not None or time.monotonic() - begun > PATIENCE_S:
                raise RuntimeError(f"{' '.join(command)} did not start:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.02)
        yield Process(popen, time.monotonic() - begun, log)
    finally:
        popen.terminate()
        try:
            popen.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(popen.pid, signal.SIGKILL)
            popen.wait()


def _gives_200(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _parent(folder: Path) -> int | None:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return None  # it has ended meanwhile


def _fields(pid: int) -> tuple[float, float]:
    """CPU seconds and resident megabytes of a process; nothing of one that has ended."""
    try:
        found = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0.0
    return (int(found[11]) + int(found[12])) * _TICK_S, int(found[21]) * _PAGE_BYTES / 1e6
