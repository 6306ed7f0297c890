"""Several processes behind one address: the parent holds it, starts them, replaces the dead, and waits for the last.

Forked before anything heavy is imported; the parent itself does nothing but wait."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

log = logging.getLogger(__name__)

MOST = 64
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
_LOOKS_EVERY_S = 0.05
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SETTLED_S = 60.0
"""A worker that has lived so long is replaced at once when it dies."""

USERS_FAULT = 2
"""The exit code that means: the input is at fault, and trying again would not help."""

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


Work = Callable[[], int]


def supervise(count: int, work: Work) -> int:
    """Runs `work` in `count` processes until SIGTERM or SIGINT; gives the exit code. Call it in the main thread.

    A worker that dies is replaced, later and later while it keeps dying; one that ends with 2 ends all."""
    folder = os.environ[METRICS_FOLDER] = tempfile.mkdtemp(prefix="churn-metrics-")
    try:
        return _Supervisor(count, work).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Supervisor:
    def __init__(self, count: int, work: Work) -> None:
        self._count, self._work = count, work
        self._running: dict[int, float] = {}
        self._leaving = False
        self._wait = _FIRST_WAIT_S

    def run(self) -> int:
        for number in _SIGNALS:
            signal.signal(number, self._leave)
        for _ in range(self._count):
            self._start()
        code = 0
        while self._running:
            pid, status = os.wait()
            started = self._running.pop(pid, None)
            if started is None:
                continue
            _forget_metrics(pid)
            ended = os.waitstatus_to_exitcode(status)
            if self._leaving:
                code = code or (1 if ended else 0)
            elif ended == USERS_FAULT:
                code = USERS_FAULT
                self._leave(signal.SIGTERM, None)
            else:
                self._replace(pid, ended, time.monotonic() - started)
        return code

    def _start(self) -> None:
        """Forks a worker. Signals wait meanwhile: who is not known yet could not be told to leave."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            if self._leaving:
                return
            pid = os.fork()
            if pid == 0:
                self._be_worker()
            self._running[pid] = time.monotonic()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _be_worker(self) -> NoReturn:
        """Works, and ends. Until the work has its own way, a signal ends it: the parent's would tell its siblings."""
        code = 1
        try:
            for number in _SIGNALS:
                signal.signal(number, _end)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            code = self._work()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
        except Exception:
            log.exception("worker %d broke", os.getpid())
        finally:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _replace(self, pid: int, ended: int, lived: float) -> None:
        log.error("worker %d ended with %d after %.0f s and is replaced", pid, ended, lived)
        self._wait = _FIRST_WAIT_S if lived > _SETTLED_S else min(2 * self._wait, _LONGEST_WAIT_S)
        again = time.monotonic() + (self._wait if lived <= _SETTLED_S else 0.0)
        while not self._leaving and time.monotonic() < again:
            time.sleep(_LOOKS_EVERY_S)
        self._start()

    def _leave(self, number: int, _frame: FrameType | None) -> None:
        self._leaving = True
        for pid in self._running:
            os.kill(pid, number)


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _forget_metrics(pid: int) -> None:
    """Gauges of the living do not count the dead."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
