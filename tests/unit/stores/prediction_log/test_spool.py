from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from churn.stores.prediction_log import segments
from churn.stores.prediction_log.frames import SEGMENT_MAGIC
from churn.stores.prediction_log.segments import records_frame
from churn.stores.prediction_log.spool import Folder
from tests.servers import free_port
from tests.unit.stores.prediction_log.samples import log, record

PATIENCE_S = 20


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/churn.db"


@pytest.fixture
def nowhere() -> str:
    """The address of a database that does not answer."""
    return f"postgresql://churn@127.0.0.1:{free_port()}/churn"


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def requests(url: str) -> list[str]:
    """In the order they were inserted."""
    file = Path(url.removeprefix("sqlite:///"))
    if not file.exists():
        return []
    connection = sqlite3.connect(file)
    found = connection.execute("SELECT request_id FROM predictions ORDER BY rowid").fetchall()
    connection.close()
    return [name for (name,) in found]


def leave(spool: Path, nowhere: str, names: list[str], **options: object) -> None:
    """A process writes these records while its database is away, and ends."""
    theirs = log(nowhere, spool, durability="durable", **options)
    for name in names:
        theirs.append(record(request_id=name))
    theirs.close(0)


def segment(spool: Path) -> Path:
    (found,) = spool.glob("*/*.seg")
    return found


def drain(url: str, spool: Path, rows: int) -> tuple[int, int]:
    """Rows that are lost and frames that are damaged, once so many rows are in the database."""
    ours = log(url, spool)
    eventually(lambda: ours.status().written_rows >= rows and not any(spool.glob("*/?????????.seg")))
    status = ours.status()
    ours.close()
    return status.lost_rows, status.damaged_frames


def test_what_a_process_left_is_shipped_by_the_next_in_order(url: str, nowhere: str, spool: Path) -> None:
    names = [str(number) for number in range(300)]
    leave(spool, nowhere, names, segment_bytes=4096)

    assert drain(url, spool, 300) == (0, 0)
    assert requests(url) == names
    assert list(spool.iterdir()) == []


def test_layouts_travel_with_the_spool(url: str, nowhere: str, spool: Path) -> None:
    """Whoever ships it may serve another model."""
    leave(spool, nowhere, ["a"])
    drain(url, spool, 1)

    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    assert connection.execute("SELECT model FROM prediction_layouts").fetchall() == [("telco",)]
    connection.close()


WRITER = """
import os, sys
from pathlib import Path
from tests.unit.stores.prediction_log.samples import log, record
ours = log(sys.argv[1], Path(sys.argv[2]), durability="durable")
for number in range(int(sys.argv[3])):
    ours.append(record(request_id=str(number)))
print("ready", flush=True)
sys.stdin.readline()
sys.stdout.write(str(ours.close(60)))
"""


def _writer(url: str, spool: Path, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, url, str(spool), str(count)]
    writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    return writer


def test_a_living_process_keeps_its_folder_and_a_killed_one_does_not(url: str, nowhere: str, spool: Path) -> None:
    writer = _writer(nowhere, spool, 50)
    ours = log(url, spool)
    time.sleep(0.5)
    assert ours.status().written_rows == 0, "its process lives"

    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    eventually(lambda: ours.status().written_rows == 50)
    ours.close()

    assert requests(url) == [str(number) for number in range(50)]
    assert list(spool.iterdir()) == []


def test_processes_that_start_at_once_adopt_an_orphan_once(url: str, nowhere: str, spool: Path) -> None:
    leave(spool, nowhere, [f"orphan {number}" for number in range(2000)], segment_bytes=4096)
    writers = [_writer(url, spool, 10) for _ in range(3)]
    eventually(lambda: len(requests(url)) == 2030)
    for writer in writers:
        writer.communicate("close\n")

    assert len(requests(url)) == 2030
    assert list(spool.iterdir()) == []


def test_two_processes_share_a_sqlite_file(url: str, spool: Path) -> None:
    writers = [_writer(url, spool, 3000) for _ in range(2)]

    assert [writer.communicate("close\n")[0] for writer in writers] == ["True", "True"]
    assert sorted(requests(url), key=int) == [str(number) for number in range(3000) for _ in range(2)]


def test_a_write_that_was_cut_off_costs_what_was_not_acknowledged(url: str, nowhere: str, spool: Path) -> None:
    leave(spool, nowhere, ["a", "b"])
    with segment(spool).open("ab") as file:
        file.write(records_frame([record(5)])[0][:-3])

    assert drain(url, spool, 2) == (0, 0)
    assert requests(url) == ["a", "b"]


def test_a_frame_that_was_damaged_is_counted_and_the_rest_is_replayed(url: str, nowhere: str, spool: Path) -> None:
    leave(spool, nowhere, ["aaaa", "bbbb", "cccc"])
    content = segment(spool).read_bytes()
    segment(spool).write_bytes(content.replace(b"bbbb", b"bXbb"))

    assert drain(url, spool, 2) == (1, 1)
    assert requests(url) == ["aaaa", "cccc"]


def test_a_segment_whose_head_was_damaged_is_replayed(url: str, nowhere: str, spool: Path) -> None:
    leave(spool, nowhere, ["a", "b"])
    content = segment(spool).read_bytes()
    segment(spool).write_bytes(b"!" * len(SEGMENT_MAGIC) + content[len(SEGMENT_MAGIC) :])

    assert drain(url, spool, 2) == (0, 1)
    assert requests(url) == ["a", "b"]


def test_a_segment_without_content_is_no_trouble(url: str, nowhere: str, spool: Path) -> None:
    leave(spool, nowhere, ["a"])
    segment(spool).with_name("000000007.seg").touch()

    assert drain(url, spool, 1) == (0, 0)


def test_files_of_somebody_else_are_left_alone(url: str, nowhere: str, spool: Path) -> None:
    leave(spool, nowhere, ["a"])
    folder = segment(spool).parent
    theirs = [spool / "notes.txt", spool / "lost+found", folder / "notes.txt", folder / "1.seg"]
    theirs[1].mkdir()
    for path in (theirs[0], *theirs[2:]):
        path.write_text("somebody else's")

    assert drain(url, spool, 1) == (0, 0)
    assert requests(url) == ["a"]
    assert all(path.exists() for path in theirs)


def test_what_a_process_left_before_its_folder_had_a_name_is_swept(url: str, spool: Path) -> None:
    unborn = spool / f".{'ab' * 16}"
    unborn.mkdir(parents=True)
    os.utime(unborn, (0, 0))

    log(url, spool).close()
    eventually(lambda: not unborn.exists())


def test_a_folder_is_adopted_by_one(nowhere: str, spool: Path) -> None:
    leave(spool, nowhere, ["a"])
    folder = segment(spool).parent
    first = Folder.adopt(folder)

    assert first
    assert Folder.adopt(folder) is None
    first.release()
    assert Folder.adopt(folder)


@pytest.mark.parametrize("durability", ["batched", "durable"])
def test_a_full_spool_keeps_the_oldest_and_counts_the_rest(
    url: str, nowhere: str, spool: Path, durability: str
) -> None:
    limit = 100_000
    theirs = log(nowhere, spool, durability=durability, spool_limit_bytes=limit, flush_s=0.02)
    for number in range(2000):
        theirs.append(record(request_id=str(number)))
        if number % 20 == 0:
            time.sleep(0.01)
    eventually(lambda: theirs.status().queued_rows == 0)
    status = theirs.status()
    assert sum(path.stat().st_size for path in spool.glob("*/*.seg")) <= limit
    assert status.lost_rows > 0
    assert status.spooled_rows + status.lost_rows == 2000
    theirs.close(0)

    drain(url, spool, status.spooled_rows)
    found = [int(name) for name in requests(url)]
    assert found == sorted(found), "in order"
    assert found[:100] == list(range(100)), "the oldest"
    assert len(found) == status.spooled_rows


def test_the_bound_holds_for_all_processes_together(nowhere: str, spool: Path) -> None:
    leave(spool, nowhere, ["x" * 200] * 300)
    limit = segment(spool).stat().st_size
    theirs = log(nowhere, spool, durability="durable", spool_limit_bytes=limit)
    eventually(lambda: theirs._writer.foreign_bytes > 0)
    for _ in range(10):
        theirs.append(record())
    status = theirs.status()
    theirs.close(0)

    assert status.lost_rows >= 9, "what others left takes the room"


def test_a_spool_that_was_deleted_under_the_log_is_made_again(url: str, spool: Path) -> None:
    ours = log(url, spool, durability="durable", segment_s=0.05)
    ours.append(record(request_id="before"))
    eventually(lambda: ours.status().written_rows == 1)
    shutil.rmtree(spool)
    ours.append(record(request_id="into a file without a name"))
    time.sleep(0.3)
    ours.append(record(request_id="behind"))
    ours.close()

    assert requests(url) == ["before", "behind"]
    assert ours.status().lost_rows == 1


DISK = """
import json, sys, time, os, resource
from pathlib import Path
from tests.unit.stores.prediction_log.samples import log, record

disk, database, durability, nowhere = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]

def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)

def burst(names):
    for name in names:
        ours.append(record(request_id=name))

FILL
ours = log(nowhere, disk / "spool", durability=durability, memory_limit_bytes=100_000)
burst(f"before {number}" for number in range(20))
until(lambda: ours.status().queued_rows == 0)
fill()
burst(f"full {number}" for number in range(2000))
until(lambda: ours.status().last_error in ("ENOSPC", "EFBIG"))
time.sleep(0.3)
full = ours.status()
free()
until(lambda: ours.status().queued_rows == 0)
burst(f"behind {number}" for number in range(20))
until(lambda: ours.status().queued_rows == 0)
end = ours.status()
ours.close(0)
ours = log(database, disk / "spool", durability=durability)
until(lambda: ours.status().written_rows == end.spooled_rows)

fill()
burst(f"past the disk {number}" for number in range(200))
until(lambda: ours.status().written_rows == end.spooled_rows + 200)
free()
ours.close()
print(json.dumps([full.lost_rows, full.queued_rows, full.queued_bytes, end.lost_rows, end.spooled_rows]))
"""

SMALL_DISK = """
def fill():
    with (disk / "ballast").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(512)):
                pass
        except OSError:
            pass
def free():
    (disk / "ballast").unlink()
"""

SMALL_FILES = """
import shutil
def fill():
    size = max((path.stat().st_size for path in (disk / "spool").glob("*/*.seg")), default=0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 700, resource.RLIM_INFINITY))
def free():
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""


def _is_as_expected(output: str, url: str) -> None:
    lost, queued, queued_bytes, lost_at_last, spooled = json.loads(output)
    found = requests(url)

    assert lost > 0
    assert queued > 0, "some wait in memory"
    assert queued_bytes <= 100_000
    assert lost_at_last == lost, "nothing is lost once there is room"
    assert spooled + lost == 2040
    assert len(found) == len(set(found)) == spooled + 200
    assert found[:20] == [f"before {number}" for number in range(20)]
    kept = [int(name.removeprefix("full ")) for name in found[20 : spooled - 20]]
    assert kept == sorted(kept)
    assert kept[:30] == list(range(30)), "the oldest"
    assert found[spooled - 20 : spooled] == [f"behind {number}" for number in range(20)]


@pytest.mark.parametrize("durability", ["batched", "durable"])
def test_a_full_disk_is_counted_and_gone_past(url: str, nowhere: str, tmp_path: Path, durability: str) -> None:
    """A file system of its own, of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    isolated = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    mount = f"mount -t tmpfs -o size=256k tmpfs {disk}"
    if subprocess.run([*isolated, "sh", "-c", mount], capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    script = DISK.replace("FILL", SMALL_DISK)
    command = [*isolated, "sh", "-c", f'{mount} && exec "$@"', "sh"]
    arguments = [sys.executable, "-c", script, str(disk), url, durability, nowhere]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    _is_as_expected(done.stdout, url)


@pytest.mark.parametrize("durability", ["batched", "durable"])
def test_files_that_may_not_grow_are_counted_and_gone_past(
    url: str, nowhere: str, tmp_path: Path, durability: str
) -> None:
    """The process's own limit on files; its writes are cut in the middle of a frame. The database is elsewhere."""
    script = DISK.replace("FILL", SMALL_FILES).split('\nfill()\nburst(f"past')[0]
    script += "\nours.close()\nprint(json.dumps([full.lost_rows, full.queued_rows, full.queued_bytes, end.lost_rows,"
    script += " end.spooled_rows]))"
    command = [sys.executable, "-c", script, str(tmp_path), url, durability, nowhere]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    lost, _, _, lost_at_last, spooled = json.loads(done.stdout)
    assert lost_at_last == lost > 0
    found = requests(url)
    assert len(found) == len(set(found)) == spooled == 2040 - lost
    assert found[-1] == "behind 19"


def test_a_spool_that_can_not_be_made_stops_nothing(url: str, tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file where a folder should be")
    ours = log(url, tmp_path / "spool", durability="durable")
    for number in range(100):
        ours.append(record(request_id=str(number)))

    eventually(lambda: ours.status().written_rows == 100)
    assert ours.status().last_error
    (tmp_path / "spool").unlink()
    ours.append(record(request_id="100"))
    assert ours.close()
    assert requests(url) == [str(number) for number in range(101)]


def _hold(path: Path, kind: str) -> None:
    if kind == "a folder":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path.name)


@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a link to itself"])
def test_what_only_has_a_segments_name_is_left_alone_and_stops_nothing(
    url: str, nowhere: str, spool: Path, kind: str
) -> None:
    leave(spool, nowhere, ["a"])
    before = segment(spool)
    odd = before.with_name("000000007.seg")
    _hold(odd, kind)
    ours = log(url, spool)
    ours.append(record(request_id="b"))
    eventually(lambda: ours.status().written_rows == 2)

    assert ours.close()
    assert sorted(requests(url)) == ["a", "b"]
    assert not before.exists()
    assert os.path.lexists(odd)


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """Segments that the disk does not give; what is taken out of the set can be read again."""
    bad: set[Path] = set()
    read = segments.opened

    def opened(path: Path) -> int:
        if path in bad:
            raise OSError(errno.EIO, "Input/output error", str(path))
        return read(path)

    monkeypatch.setattr(segments, "opened", opened)
    return bad


def test_a_folder_that_cannot_be_read_waits_and_keeps_no_other_back(
    url: str, nowhere: str, spool: Path, unreadable: set[Path], caplog: pytest.LogCaptureFixture
) -> None:
    leave(spool, nowhere, ["bad"])
    unreadable.add(segment(spool))
    leave(spool, nowhere, ["good"])
    os.utime(next(iter(unreadable)).with_name("lock"), (0, 0))
    ours = log(url, spool)
    ours.append(record(request_id="own"))
    eventually(lambda: ours.status().written_rows == 2)
    eventually(lambda: ours.status().last_error == "EIO")
    time.sleep(0.5)

    assert sorted(requests(url)) == ["good", "own"]
    assert len([entry for entry in caplog.messages if "cannot be read" in entry]) == 1
    unreadable.clear()
    eventually(lambda: ours.status().written_rows == 3)
    eventually(lambda: not ours.status().last_error)
    assert ours.close()
    assert sorted(requests(url)) == ["bad", "good", "own"]
    assert list(spool.iterdir()) == []


def test_a_folder_that_cannot_be_read_is_there_for_the_next_process(
    url: str, nowhere: str, spool: Path, unreadable: set[Path]
) -> None:
    leave(spool, nowhere, ["bad", "worse"])
    unreadable.add(segment(spool))
    ours = log(url, spool)
    eventually(lambda: ours.status().last_error == "EIO")
    assert ours.close()

    unreadable.clear()
    assert drain(url, spool, 2) == (0, 0)
    assert requests(url) == ["bad", "worse"]


def test_a_database_that_answers_with_errors_keeps_the_order_of_what_is_left(
    url: str, nowhere: str, spool: Path
) -> None:
    """That is no folder's fault: none is gone past."""
    leave(spool, nowhere, ["a", "b"])
    file = Path(url.removeprefix("sqlite:///"))
    file.mkdir()
    ours = log(url, spool)
    ours.append(record(request_id="c"))
    eventually(lambda: bool(ours.status().last_error))
    file.rmdir()
    eventually(lambda: ours.status().written_rows == 3)

    assert ours.close()
    assert requests(url) == ["a", "b", "c"]
