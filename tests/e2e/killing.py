"""Runs that are killed in the middle of a step."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.conftest import ROOT, Churn


def kill_in(churn: Churn, command: Sequence[str | Path], log: str) -> None:
    """Starts a command, and kills it with all its children soon after a step has started to work: when there is another
    file that matches `log` (a pattern, in the home's runs). The shortest steps may just have ended."""
    known = _logs(churn, log)
    process = subprocess.Popen(
        [*churn.command, *map(str, command)], cwd=ROOT, env={**churn.env, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 600
    while _logs(churn, log) == known:
        assert process.poll() is None, f"the run ended before {log}"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.1)
    for group in _groups(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    process.wait(10)
    assert process.returncode == -signal.SIGKILL


def _logs(churn: Churn, pattern: str) -> set[Path]:
    return set((churn.home / "runs").glob(pattern))


def _groups(pid: int) -> set[int]:
    """The process groups of a process and of all that descend from it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = (int(fields[1]), int(fields[2]))
    family, groups = {pid}, {pid}
    for _ in parents:
        more = {child for child, (parent, _) in parents.items() if parent in family} - family
        if not more:
            break
        family |= more
    return groups | {group for child, (_, group) in parents.items() if child in family}
