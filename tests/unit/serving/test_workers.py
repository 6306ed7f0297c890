"""A parent and its workers, as tiny real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[3]

PROGRAM = """
import logging, os, signal, sys, time
from pathlib import Path
from serving import orphans, workers

logging.basicConfig(level=logging.INFO)
folder = Path(sys.argv[1])

def works(seconds=60.0):
    leaving = []
    signal.signal(signal.SIGTERM, lambda *_: leaving.append(1))
    (folder / str(os.getpid())).touch()
    deadline = time.monotonic() + seconds
    while not leaving and time.monotonic() < deadline:
        time.sleep(0.01)
    (folder / f"left-{os.getpid()}").touch()
    return 0

def faulty():
    if (folder / "one").exists():
        return works()
    (folder / "one").touch()
    time.sleep(0.3)
    return 2

def breaks():
    (folder / str(os.getpid())).touch()
    raise ValueError("canary-7731")

def uneven():
    # one is steady, all others break
    try:
        (folder / "steady").mkdir()
    except FileExistsError:
        breaks()
    (folder / "steady" / str(os.getpid())).touch()
    return works()

def starts_slowly():
    (folder / str(os.getpid())).touch()
    time.sleep(60)
    return 0

unaided = works
if sys.argv[2] == "unaided":
    orphans._told_by_the_kernel = lambda: False

sys.exit(workers.supervise(int(sys.argv[3]), globals()[sys.argv[2]]))
"""


class Parent:
    def __init__(self, folder: Path, work: str, count: int) -> None:
        self._folder = folder
        self._said = folder.with_suffix(".txt")
        with self._said.open("wb") as said:
            command = [sys.executable, "-c", PROGRAM, str(folder), work, str(count)]
            environment = {**os.environ, "TMPDIR": str(folder.parent)}
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said)

    def seen(self) -> set[int]:
        return {int(one.name) for one in self._folder.iterdir() if one.name.isdecimal()}

    def left(self) -> set[int]:
        return {int(one.name[5:]) for one in self._folder.glob("left-*")}

    def wait_for(self, done: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30
        while not done():
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.02)

    def said(self) -> str:
        return self._said.read_text()

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str, int], Parent]]:
    started: list[Parent] = []

    def begin(work: str, count: int) -> Parent:
        folder = tmp_path / "seen"
        folder.mkdir()
        started.append(Parent(folder, work, count))
        return started[-1]

    yield begin
    for parent in started:
        if parent.process.poll() is None:
            parent.end()
        assert not any(_alive(pid) for pid in parent.seen())


def test_a_signal_reaches_every_worker_and_the_parent_waits_for_the_last(start: Callable[[str, int], Parent]) -> None:
    parent = start("works", 3)
    parent.wait_for(lambda: len(parent.seen()) == 3)
    assert parent.end() == 0
    assert parent.left() == parent.seen()


def test_a_worker_that_dies_is_replaced_and_the_others_work_on(start: Callable[[str, int], Parent]) -> None:
    parent = start("works", 2)
    parent.wait_for(lambda: len(parent.seen()) == 2)
    first = parent.seen()
    killed = min(first)
    os.kill(killed, signal.SIGKILL)
    parent.wait_for(lambda: len(parent.seen()) == 3)
    assert _alive(max(first))
    assert f"worker {killed} ended with -9" in parent.said()
    assert parent.end() == 0
    assert parent.left() == parent.seen() - {killed}


def test_a_worker_whose_input_is_at_fault_ends_all_at_once_with_2(start: Callable[[str, int], Parent]) -> None:
    parent = start("faulty", 3)
    assert parent.process.wait(30) == 2
    assert "is replaced" not in parent.said()


def test_a_worker_that_breaks_says_why_and_a_signal_ends_the_wait_for_the_next(
    start: Callable[[str, int], Parent],
) -> None:
    parent = start("breaks", 1)
    parent.wait_for(lambda: parent.said().count("is replaced") == 3)
    started = time.monotonic()
    assert parent.end() in {0, 1}
    assert time.monotonic() - started < 1.5, "the next would have come in four seconds"
    assert "ValueError" in parent.said()


def test_one_that_breaks_again_and_again_keeps_no_other_from_being_replaced(
    start: Callable[[str, int], Parent], tmp_path: Path
) -> None:
    parent = start("uneven", 2)
    steady = tmp_path / "seen" / "steady"
    parent.wait_for(lambda: parent.said().count("ended with 1 ") == 3)
    (first,) = (int(one.name) for one in steady.iterdir())
    (steady / str(first)).unlink()
    steady.rmdir()
    os.kill(first, signal.SIGKILL)
    parent.wait_for(lambda: steady.exists() and list(steady.iterdir()))
    assert parent.said().count("ended with 1 ") == 3, "the one that breaks comes again in four seconds"


def test_several_that_die_at_once_are_all_replaced(start: Callable[[str, int], Parent]) -> None:
    parent = start("works", 3)
    parent.wait_for(lambda: len(parent.seen()) == 3)
    first = parent.seen()
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    parent.wait_for(lambda: len(parent.seen()) == 6)
    assert parent.end() == 0
    assert parent.left() == parent.seen() - first


@pytest.mark.parametrize("work", ["works", "starts_slowly"])
def test_workers_do_not_outlive_a_parent_that_is_killed(start: Callable[[str, int], Parent], work: str) -> None:
    parent = start(work, 2)
    parent.wait_for(lambda: len(parent.seen()) == 2)
    parent.process.kill()
    parent.process.wait(30)
    parent.wait_for(lambda: not any(_alive(pid) for pid in parent.seen()))
    assert parent.left() == (parent.seen() if work == "works" else set()), "they are told to leave, not killed"


def test_without_help_of_the_kernel_a_worker_watches_its_parent(start: Callable[[str, int], Parent]) -> None:
    parent = start("unaided", 2)
    parent.wait_for(lambda: len(parent.seen()) == 2)
    parent.process.kill()
    parent.process.wait(30)
    parent.wait_for(lambda: parent.left() == parent.seen())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_workers_that_are_still_starting_leave_as_well(start: Callable[[str, int], Parent], number: int) -> None:
    parent = start("starts_slowly", 2)
    parent.wait_for(lambda: len(parent.seen()) == 2)
    assert parent.end(number) == 0


def test_a_signal_to_one_worker_is_not_passed_on_to_the_others(start: Callable[[str, int], Parent]) -> None:
    parent = start("starts_slowly", 2)
    parent.wait_for(lambda: len(parent.seen()) == 2)
    first, second = sorted(parent.seen())
    os.kill(second, signal.SIGTERM)
    parent.wait_for(lambda: len(parent.seen()) == 3)
    assert _alive(first)


def test_the_folder_of_the_workers_metrics_is_gone_with_them(
    start: Callable[[str, int], Parent], tmp_path: Path
) -> None:
    parent = start("works", 2)
    parent.wait_for(lambda: len(parent.seen()) == 2)
    assert len(list(tmp_path.glob("churn-metrics-*"))) == 1
    parent.end()
    assert list(tmp_path.glob("churn-metrics-*")) == []


def _alive(pid: int) -> bool:
    """Not so for one that has ended and whom nobody has buried yet."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
