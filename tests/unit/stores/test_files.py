from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from churn.stores import files

HOLDER = """
import sys, time
from pathlib import Path
from churn.stores import files
with files.locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    files.write_atomically(path, b"old")
    files.write_atomically(path, b"new")

    assert path.read_bytes() == b"new"


def test_a_failed_write_leaves_the_old_content_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write_atomically(path, b"old")

    def fail() -> None:
        with files.staged(tmp_path / ".staging") as temporary:
            temporary.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert path.read_bytes() == b"old"
    assert list((tmp_path / ".staging").iterdir()) == []


def test_what_killed_processes_left_is_swept_after_a_day(tmp_path: Path) -> None:
    old, young = tmp_path / "old", tmp_path / "young"
    old.mkdir()
    (old / "part").touch()
    young.touch()
    os.utime(old, (0, 0))

    with files.staged(tmp_path):
        pass

    assert list(tmp_path.iterdir()) == [young]


def test_a_folder_is_not_published_over_another(tmp_path: Path) -> None:
    target, temporary = tmp_path / "target", tmp_path / "temporary"
    for folder in (target, temporary):
        folder.mkdir()
        (folder / "file").write_text(folder.name)

    with pytest.raises(OSError, match="not empty"):
        files.publish(temporary, target)

    assert (target / "file").read_text() == "target"


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        held = files.is_locked(lock)
        holder.send_signal(signal.SIGKILL)

    assert held
    assert not files.is_locked(lock)


def test_a_lock_is_let_go_of_after_an_error(tmp_path: Path) -> None:
    lock = tmp_path / "lock"

    def fail() -> None:
        with files.locked(lock):
            assert files.is_locked(lock)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert not files.is_locked(lock)
