"""What a run does to the processes around it. This file is also a program: it runs one of its pipelines in a process.

KFP reads annotations as objects: no `from __future__ import annotations` beside a component.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kfp import dsl

from components.images import image
from local.runner import run
from local.runner.environments import PROJECT

MONITORING = image("monitoring")
DEADLINE_SECONDS = 20


@dsl.component(base_image=MONITORING, install_kfp_package=False)
def sleep(pids: str, mark: str):
    import os
    import subprocess
    import time
    from pathlib import Path

    grandchild = subprocess.Popen(["sleep", "600"])
    Path(pids, f"{mark}.part").write_text(f"{os.getpid()} {grandchild.pid}")
    Path(pids, f"{mark}.part").rename(Path(pids, mark))
    time.sleep(600)


@dsl.component(base_image=MONITORING, install_kfp_package=False)
def leave_a_process_behind() -> int:
    import subprocess

    return subprocess.Popen(["sleep", "600"]).pid


@dsl.component(base_image=MONITORING, install_kfp_package=False)
def echo(text: str) -> str:
    return text


@dsl.pipeline(name="one")
def one(pids: str):
    sleep(pids=pids, mark="1")


@dsl.pipeline(name="loop")
def loop(pids: str):
    with dsl.ParallelFor(["1", "2", "3"]) as mark:
        sleep(pids=pids, mark=mark)


@dsl.pipeline(name="three-in-a-row")
def three_in_a_row(text: str):
    echo(text=echo(text=echo(text=text).output).output)


@dsl.pipeline(name="leaves")
def leaves():
    leave_a_process_behind()


def main(name: str, root: str, arguments: str) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    if os.environ.get("HANDLE_SIGTERM"):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("asked to end"))
    pipeline = {"one": one, "loop": loop, "three-in-a-row": three_in_a_row}[name]
    result = run(pipeline, json.loads(arguments), name=name, root=Path(root))
    print(json.dumps([step.outputs["Output"] for step in result.steps]))  # noqa: T201


@contextlib.contextmanager
def in_a_process(name: str, root: Path, **variables: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A process in the middle of a pipeline of sleeping steps, and the processes of those steps."""
    pids = root / "pids"
    pids.mkdir()
    wanted = {"one": 1, "loop": 2}[name]
    with start(name, root, {"pids": str(pids)}, **variables) as process:
        wait_until(lambda: process.poll() is not None or len([p for p in pids.iterdir() if not p.suffix]) == wanted)
        steps = [int(pid) for file in pids.iterdir() for pid in file.read_text().split()]
        try:
            assert len(steps) == 2 * wanted
            assert all(alive(pid) for pid in steps)
            yield process, steps
        finally:
            process.kill()
            for pid in filter(alive, steps):
                os.kill(pid, signal.SIGKILL)


def start(name: str, root: Path, arguments: dict[str, str], **variables: str) -> subprocess.Popen[str]:
    temporary = root / "tmp"
    temporary.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, __file__, name, root, json.dumps(arguments)],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "TMPDIR": str(temporary), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


@pytest.mark.parametrize("name", ["one", "loop"])
def test_an_interrupt_ends_the_steps_and_the_run(tmp_path: Path, name: str) -> None:
    with in_a_process(name, tmp_path) as (process, steps):
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=DEADLINE_SECONDS)

        assert process.returncode == -signal.SIGINT
        assert "KeyboardInterrupt" in errors
        assert not any(alive(pid) for pid in steps)
    assert not (tmp_path / "pids" / "3").exists()
    assert not list(tmp_path.glob("*/workspace"))
    assert not list((tmp_path / "tmp").iterdir())


def test_a_handled_sigterm_ends_the_steps_before_the_run_returns(tmp_path: Path) -> None:
    with in_a_process("loop", tmp_path, HANDLE_SIGTERM="1") as (process, steps):
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=DEADLINE_SECONDS)

        assert (process.returncode, errors.strip()) == (1, "asked to end")
        assert not any(alive(pid) for pid in steps)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_steps_end_with_their_runner_however_it_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    with in_a_process("loop", tmp_path) as (process, steps):
        process.send_signal(number)
        process.wait(DEADLINE_SECONDS)

        wait_until(lambda: not any(alive(pid) for pid in steps) and not list((tmp_path / "tmp").iterdir()))


def test_a_step_leaves_no_process_behind(tmp_path: Path) -> None:
    pid = run(leaves, {}, name="leaves", root=tmp_path).step("leave-a-process-behind").outputs["Output"]

    assert not alive(pid)


def test_two_processes_run_pipelines_at_once(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(2)]
    processes = [start("three-in-a-row", tmp_path, {"text": text}) for text in texts]

    for process, text in zip(processes, texts, strict=True):
        output, errors = process.communicate(timeout=60)
        assert (json.loads(output), errors) == ([text] * 3, "")


def test_two_threads_take_turns(tmp_path: Path) -> None:
    outputs: dict[str, list[str]] = {}

    def work(text: str) -> None:
        result = run(three_in_a_row, {"text": text}, name=text, root=tmp_path)
        outputs[text] = [step.outputs["Output"] for step in result.steps]

    threads = [threading.Thread(target=work, args=(text,)) for text in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert outputs == {"first": ["first"] * 3, "second": ["second"] * 3}


if __name__ == "__main__":
    main(*sys.argv[1:])
