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
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from serving import orphans

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

    A worker that dies is replaced, later and later while it keeps dying; one that ends with 2 ends all. When this
    process is killed, the workers are told to leave."""
    folder = os.environ[METRICS_FOLDER] = tempfile.mkdtemp(prefix="churn-metrics-")
    try:
        return _Supervisor(count, work).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class _Place:
    """Where one worker is, or is due: `since` it was started, after `wait` seconds the next one is."""

    pid: int | None = None
    since: float = 0.0
    due: float = 0.0
    wait: float = _FIRST_WAIT_S


class _Supervisor:
    def __init__(self, count: int, work: Work) -> None:
        self._places, self._work = [_Place() for _ in range(count)], work
        self._asked: list[int] = []
        self._leaving = False
        self._code = 0

    def run(self) -> int:
        for number in _SIGNALS:
            signal.signal(number, lambda number, _: self._asked.append(number))
        while True:
            self._bury()
            while self._asked:
                self._leave(self._asked.pop(0))
            if not self._leaving:
                self._start_those_due()
            elif not any(place.pid for place in self._places):
                return self._code
            time.sleep(_LOOKS_EVERY_S)

    def _bury(self) -> None:
        """Takes note of all who have ended. Nobody is waited for: the others' turn comes as well."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for place in self._places:
                if place.pid == pid:
                    self._ended(place, pid, os.waitstatus_to_exitcode(status))

    def _ended(self, place: _Place, pid: int, code: int) -> None:
        place.pid = None
        _forget_metrics(pid)
        if self._leaving:
            self._code = self._code or (1 if code else 0)
        elif code == USERS_FAULT:
            self._code = USERS_FAULT
            self._leave(signal.SIGTERM)
        else:
            self._replace(place, pid, code)

    def _replace(self, place: _Place, pid: int, code: int) -> None:
        now = time.monotonic()
        lived = now - place.since
        settled = lived > _SETTLED_S
        place.wait = _FIRST_WAIT_S if settled else min(2 * place.wait, _LONGEST_WAIT_S)
        place.due = now if settled else now + place.wait
        log.error("worker %d ended with %d after %.0f s and is replaced", pid, code, lived)

    def _start_those_due(self) -> None:
        now = time.monotonic()
        for place in self._places:
            if place.pid is None and place.due <= now:
                place.since, place.pid = now, self._started()

    def _started(self) -> int:
        """Forks a worker. Signals wait meanwhile: those to the parent are not for the child's first moments."""
        parent = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
            if pid == 0:
                self._be_worker(parent)
            return pid
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _be_worker(self, parent: int) -> NoReturn:
        """Works, and ends. Until the work has its own way, a signal ends it: the parent's would tell its siblings."""
        code = 1
        try:
            for number in _SIGNALS:
                signal.signal(number, _end)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            orphans.leave_with(parent)
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

    def _leave(self, number: int) -> None:
        """Passes a signal on; a second one as well."""
        self._leaving = True
        for place in self._places:
            if place.pid is not None:  # nobody but `_bury` reaps, so that the number is still this worker's
                os.kill(place.pid, number)


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _forget_metrics(pid: int) -> None:
    """Gauges of the living do not count the dead."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
