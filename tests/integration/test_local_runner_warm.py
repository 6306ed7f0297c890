"""Steps forked from interpreters that stay warm: what is shared, what is not, and what becomes of the interpreters.

KFP reads annotations as objects: no `from __future__ import annotations` beside a component.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from components.images import Role, image
from local import runner
from local.runner import StepFailed, run
from local.runner.warm import program_of
from tests.integration.test_local_runner_processes import alive, in_a_process, wait_until

MONITORING = image("monitoring")
PATIENCE_SECONDS = 120  # Feast alone takes seven to import where nothing else runs

LAST: dict[Role, str] = {  # of what each role's interpreter loads
    "data-processing": "feast.infra.registry.registry",
    "model-training": "mlflow.store.model_registry.sqlalchemy_store",
    "model-serving": "lightgbm",
    "monitoring": "alibi_detect.cd",
}


def look() -> dict:
    import logging
    import os
    import sys
    import warnings
    from pathlib import Path

    def parent(pid):
        return next(int(line.split()[1]) for line in Path(f"/proc/{pid}/status").open() if line.startswith("PPid:"))

    zygote = parent(os.getppid())
    names = set(sys.modules)
    return {
        "forked": "local.runner.zygote" in Path("/proc/self/cmdline").read_text(),
        "zygote": zygote,
        "threads": [file.read_text().strip() for file in Path(f"/proc/{zygote}/task").glob("*/comm")],
        "modules": sorted(names),
        "handlers": [type(handler).__name__ for handler in logging.getLogger().handlers],
        "filters": [str(entry[0]) for entry in warnings.filters],
        "variables": dict(os.environ),
        "scratch": os.environ["TMPDIR"],
        "cwd": str(Path.cwd()),
    }


LOOKS = {
    role: dsl.component(look, base_image=image(role), install_kfp_package=False)
    for role in ("data-processing", "model-training", "model-serving", "monitoring")
}


def seen(root: Path, role: Role = "monitoring", **variables: str) -> dict[str, Any]:
    """What a step of that role finds around it."""

    @dsl.pipeline(name="looks")
    def pipeline():
        LOOKS[role]()

    found: dict[str, Any] = (
        run(pipeline, {}, name="looks", root=root, environment=variables).step("look").outputs["Output"]
    )
    return {**found, "zygote": int(found["zygote"])}


def warmed(root: Path, role: Role = "monitoring", module: str = "") -> dict[str, Any]:
    """The same, once that module is loaded; by default the last of the list."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (module or LAST[role]) not in (found := seen(root, role))["modules"]:
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.2)
    return found


@pytest.fixture(autouse=True)
def _leave_none_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield
    runner.release()
    assert not list(folder.iterdir())


@dsl.component(base_image=MONITORING, install_kfp_package=False)
def end_by_signal(number: int):
    import os

    os.kill(os.getpid(), number)


@dsl.component(base_image=MONITORING, install_kfp_package=False)
def leave_at_once(status: int):
    import os

    os._exit(status)


@dsl.component(base_image=MONITORING, install_kfp_package=False)
def talk(lines: int):
    for line in range(lines):
        print(f"{line:099}")  # noqa: T201


@dsl.component(base_image=MONITORING, install_kfp_package=False)
def spoil() -> str:
    import logging
    import os
    import sys
    import tempfile

    import numpy as np

    np.spoiled = sys.spoiled = True
    os.environ["CHURN_SPOILED"] = "1"
    sys.modules["spoiled"] = sys
    logging.getLogger().addHandler(logging.NullHandler())
    return tempfile.mkdtemp()


@dsl.component(base_image=MONITORING, install_kfp_package=False)
def is_spoiled() -> dict:
    import logging
    import os
    import sys

    import numpy as np

    return {
        "numpy": hasattr(np, "spoiled"),
        "sys": hasattr(sys, "spoiled"),
        "variable": "CHURN_SPOILED" in os.environ,
        "module": "spoiled" in sys.modules,
        "logging": any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger().handlers),
    }


@dsl.component(base_image=MONITORING, install_kfp_package=False)
def read_edited(folder: str) -> str:
    import sys

    sys.path.insert(0, folder)
    import edited

    return edited.VALUE


@dsl.component(base_image=MONITORING, install_kfp_package=False)
def draw() -> list:
    import random

    import numpy as np

    return [random.random(), float(np.random.rand())]  # noqa: NPY002


@dsl.component(base_image=MONITORING, install_kfp_package=False)
def wait_for(file: str) -> bool:
    import time
    from pathlib import Path

    Path(file).with_suffix(".waiting").touch()
    while not Path(file).exists():
        time.sleep(0.05)
    return True


@dsl.component(base_image=image("model-training"), install_kfp_package=False)
def compute() -> dict:
    import duckdb
    import numpy as np
    import onnxruntime
    import pyarrow.compute as pc
    import spox.opset.ai.onnx.v21 as op
    import xgboost
    from joblib import Parallel, delayed
    from sklearn.ensemble import RandomForestClassifier
    from spox import Tensor, argument, build

    x = np.random.default_rng(0).normal(size=(2000, 8))
    y = (x[:, 0] > 0).astype(int)
    boosted = xgboost.XGBClassifier(n_estimators=5, n_jobs=2).fit(x, y)
    forest = RandomForestClassifier(n_estimators=20, n_jobs=2).fit(x, y)
    numbers = argument(Tensor(np.float32, ("N",)))
    graph = build({"numbers": numbers}, {"doubled": op.add(numbers, numbers)})
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    return {
        "xgboost": bool(boosted.score(x, y) > 0.9),
        "forest": bool(forest.score(x, y) > 0.9),
        "joblib": Parallel(n_jobs=2)(delayed(pow)(number, 2) for number in range(4)),
        "blas": bool(np.isfinite(np.linalg.svd(np.hstack([x] * 40).T @ np.hstack([x] * 40))[1]).all()),
        "onnxruntime": session.run(None, {"numbers": np.ones(2, np.float32)})[0].tolist(),
        "duckdb": duckdb.sql("SELECT sum(range) AS total FROM range(1000000)").fetchone()[0],
        "arrow": pc.sum(list(range(1000))).as_py(),
    }


@dsl.component(base_image=image("model-serving"), install_kfp_package=False)
def call_over_grpc() -> str:
    from concurrent.futures import ThreadPoolExecutor

    import grpc
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc

    server = grpc.server(ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
    server.stop(None)
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


@dsl.pipeline(name="ends-by-signal")
def ends_by_signal(number: int):
    end_by_signal(number=number)


@dsl.pipeline(name="leaves-at-once")
def leaves_at_once(status: int):
    leave_at_once(status=status)


@dsl.pipeline(name="talks")
def talks(lines: int):
    talk(lines=lines)


@dsl.pipeline(name="spoils")
def spoils():
    is_spoiled().after(spoil())


@dsl.pipeline(name="reads-edited")
def reads_edited(folder: str):
    read_edited(folder=folder)


@dsl.pipeline(name="draws")
def draws():
    with dsl.ParallelFor([1, 2, 3]):
        draw()


@dsl.pipeline(name="waits")
def waits(file: str):
    wait_for(file=file)


@dsl.pipeline(name="computes")
def computes():
    compute()


@dsl.pipeline(name="calls")
def calls():
    call_over_grpc()


@pytest.mark.parametrize("role", list(LAST))
def test_a_role_loads_its_libraries_and_neither_a_thread_nor_a_component(tmp_path: Path, role: Role) -> None:
    found = warmed(tmp_path, role)

    assert found["forked"]
    assert {*found["threads"]} <= {"python", "jemalloc_bg_thd"}  # the latter sees to forks itself
    assert found["threads"].count("python") == 1, "OpenBLAS ends its own before a fork"
    loaded = {*found["modules"]} - {"feature_repo", "feature_repo.quiet"}  # how Feast is imported
    top = {module.partition(".")[0] for module in loaded}
    assert not top & {"churn", "components", "feature_repo", "pipelines", "duckdb", "onnxruntime"}
    assert found["handlers"] == ["StreamHandler"]  # KFP's
    assert "always" not in found["filters"], "Feast would show all warnings"
    assert "PROMETHEUS_MULTIPROC_DIR" not in found["variables"], "Feast would count in files"


def test_libraries_with_threads_of_their_own_work_in_a_step(tmp_path: Path) -> None:
    warmed(tmp_path, "model-training")

    done = run(computes, {}, name="computes", root=tmp_path)

    assert done.step("compute").outputs["Output"] == {
        "xgboost": True,
        "forest": True,
        "joblib": [0, 1, 4, 9],
        "blas": True,
        "onnxruntime": [2.0, 2.0],
        "duckdb": 499999500000,
        "arrow": 499500,
    }


def test_grpc_works_in_a_step(tmp_path: Path) -> None:
    warmed(tmp_path, "model-serving")

    assert run(calls, {}, name="calls", root=tmp_path).step("call-over-grpc").outputs["Output"] == "SERVING"


def test_an_interpreter_serves_run_after_run_until_a_variable_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = seen(tmp_path)
    monkeypatch.setenv("CHURN_HOME", str(tmp_path / "home"))
    second = seen(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    third = seen(tmp_path)

    assert first["zygote"] == second["zygote"] != third["zygote"]
    assert second["variables"]["CHURN_HOME"] == str(tmp_path / "home")
    assert third["variables"]["OMP_NUM_THREADS"] == "1"
    assert not alive(first["zygote"])
    assert first["scratch"] != second["scratch"]
    assert all(Path(step["cwd"]).parent == Path(step["scratch"]) for step in (first, second, third))


def test_an_interpreter_serves_run_after_run_with_variables_that_the_steps_alone_are_given(tmp_path: Path) -> None:
    first, second = (seen(tmp_path, OMP_NUM_THREADS="1") for _ in range(2))

    assert first["zygote"] == second["zygote"]
    assert first["variables"]["OMP_NUM_THREADS"] == "1"


def test_a_step_finds_nothing_of_the_one_before(tmp_path: Path) -> None:
    warmed(tmp_path, module="numpy")

    done = run(spoils, {}, name="spoils", root=tmp_path)

    assert not any(done.step("is-spoiled").outputs["Output"].values())
    assert not Path(done.step("spoil").outputs["Output"]).exists()


def test_steps_draw_different_numbers(tmp_path: Path) -> None:
    warmed(tmp_path, module="numpy")

    drawn = [number for step in run(draws, {}, name="draws", root=tmp_path).steps for number in step.outputs["Output"]]

    assert len(drawn) == len(set(drawn)) == 6


def test_an_edited_file_is_read_anew(tmp_path: Path) -> None:
    values = []
    for value in ("first", "again"):
        (tmp_path / "edited.py").write_text(f"VALUE = {value!r}\n")
        os.utime(tmp_path / "edited.py", (len(values), len(values)))
        done = run(reads_edited, {"folder": str(tmp_path)}, name="edited", root=tmp_path)
        values.append(done.step("read-edited").outputs["Output"])

    assert values == ["first", "again"]


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM])
def test_a_step_that_crashes_fails_by_its_signal_and_the_next_one_runs(tmp_path: Path, number: signal.Signals) -> None:
    with pytest.raises(StepFailed, match=f"step end-by-signal failed: ended by {number.name}"):
        run(ends_by_signal, {"number": int(number)}, name="crash", root=tmp_path)

    assert seen(tmp_path)["forked"]


@pytest.mark.parametrize(("status", "reason"), [(0, "it ended without writing its outputs"), (7, "exit status 7")])
def test_a_step_that_leaves_at_once_fails(tmp_path: Path, status: int, reason: str) -> None:
    with pytest.raises(StepFailed, match=f"step leave-at-once failed: {reason}"):
        run(leaves_at_once, {"status": status}, name="leaves", root=tmp_path)


def test_all_that_a_step_prints_is_in_its_log(tmp_path: Path) -> None:
    log = run(talks, {"lines": 50_000}, name="talks", root=tmp_path).step("talk").log

    numbers = [int(line) for line in log.read_text().splitlines() if line.isdigit()]
    assert numbers == list(range(50_000))


def test_an_interpreter_that_was_killed_is_done_without(tmp_path: Path) -> None:
    os.kill(seen(tmp_path)["zygote"], signal.SIGKILL)

    assert not seen(tmp_path)["forked"]


def test_a_step_outlives_its_interpreter(tmp_path: Path) -> None:
    zygote, file = seen(tmp_path)["zygote"], tmp_path / "file"

    def killed() -> None:
        os.kill(zygote, signal.SIGKILL)
        file.touch()

    done = meanwhile(
        lambda: run(waits, {"file": str(file)}, name="waits", root=tmp_path),
        file.with_suffix(".waiting").exists,
        killed,
    )

    assert done.step("wait-for").outputs["Output"] is True


def test_a_step_whose_interpreter_dies_before_it_forks_starts_afresh(tmp_path: Path) -> None:
    zygote = seen(tmp_path)["zygote"]
    os.kill(zygote, signal.SIGSTOP)

    found = meanwhile(
        lambda: seen(tmp_path),
        lambda: len(list(tmp_path.glob("looks-*/logs/look.log"))) == 2,
        lambda: os.kill(zygote, signal.SIGKILL),
    )

    assert not found["forked"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interpreters_end_with_their_runner_however_it_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    with in_a_process("one", tmp_path) as (process, steps):
        [zygote] = {parent(parent(pid)) for pid in steps} & grandchildren(process.pid)
        process.send_signal(number)
        process.wait(20)

        wait_until(lambda: not any(alive(pid) for pid in [zygote, *steps]))
        wait_until(lambda: not list((tmp_path / "tmp").iterdir()))


def test_only_kfps_usual_command_is_taken_apart() -> None:
    usual = [*LOOKS["monitoring"].component_spec.implementation.container.command, "--executor_input", "{}"]
    shell, flags, script, source, *arguments = usual

    assert program_of(usual) == {"source": source, "arguments": ["--executor_input", "{}"]}
    assert program_of([shell, flags, script.replace("python3", "python3 -X dev"), source, *arguments]) is None
    assert program_of([shell, "-c", script, source, *arguments]) is None
    assert program_of([shell, flags, f"pip install x && {script}", source, *arguments]) is None
    assert program_of(["echo", "text"]) is None


def meanwhile(work: Callable[[], Any], condition: Callable[[], bool], act: Callable[[], None]) -> Any:
    """What the work gives; acts as soon as the condition holds."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    wait_until(condition)
    act()
    thread.join(60)
    [result] = results
    return result


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def grandchildren(pid: int) -> set[int]:
    return {grandchild for child in children(pid) for grandchild in children(child)}


def children(pid: int) -> set[int]:
    return {int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()}
