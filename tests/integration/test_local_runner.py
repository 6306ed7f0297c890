"""Pipelines of tiny real components, run by KFP's local execution in the roles' own environments.

KFP reads annotations as objects: no `from __future__ import annotations` beside a component.
"""

import logging
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import pytest
from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Metrics, Output
from kfp.local import config, logging_utils, subprocess_task_handler

from churn.domain.errors import UserError
from components.images import image
from local.runner import Run, StepEvent, StepFailed, run

MONITORING = image("monitoring")  # the smallest environment
DATA = image("data-processing")
AWKWARD = 'it\'s "python3", $HOME `pwd` && {{not}} a \\ back\\slash\n|| pip install'


@dsl.component(base_image=MONITORING, install_kfp_package=False)
def echo(text: str) -> str:
    return text


@dsl.component(base_image=MONITORING, install_kfp_package=False)
def is_positive(number: int) -> bool:
    return number > 0


@dsl.component(base_image=MONITORING, install_kfp_package=False)
def fail(text: str) -> str:
    print("about to fail")  # noqa: T201
    raise RuntimeError(text)


@dsl.component(base_image=MONITORING, install_kfp_package=False)
def blame_the_input(column: str):
    from churn.domain.errors import UserError
    from components.reporting import reported

    with reported():
        raise UserError(f"column {column} is missing", where="customers.csv", remedy="add it")


@dsl.component(base_image=DATA, install_kfp_package=False)
def produce(store: str, table: Output[Dataset], address: Output[Artifact], metrics: Output[Metrics]) -> int:
    from pathlib import Path

    Path(table.path).write_text("a,b\n1,2\n")
    address.uri = store
    address.metadata.update({"digest": "e3b0c442", "rows": 7043, "columns": ["a", "b"], "share": 0.25})
    metrics.log_metric("roc_auc", 0.85)
    return 2**31


@dsl.component(base_image=MONITORING, install_kfp_package=False)
def consume(table: Input[Dataset], address: Input[Artifact], rows: int) -> NamedTuple(
    "Seen", [("content", str), ("uri", str), ("metadata", dict), ("rows", int)]
):
    from pathlib import Path

    return Path(table.path).read_text(), address.uri, address.metadata, rows


@dsl.pipeline(name="one-step")
def one_step(text: str = "default") -> str:
    return echo(text=text).output


@dsl.pipeline(name="branches")
def branches(number: int):
    checked = is_positive(number=number)
    with dsl.If(checked.output == True):  # noqa: E712 (KFP builds the condition from this comparison)
        echo(text="positive")
    with dsl.Else():
        echo(text="not positive")


@dsl.pipeline(name="compares-text")
def compares_text(text: str, other: str):
    left = echo(text=text)
    right = echo(text=other)
    with dsl.If(left.output == right.output):
        echo(text="equal")


@dsl.pipeline(name="hands-over")
def hands_over(store: str):
    made = produce(store=store)
    consume(table=made.outputs["table"], address=made.outputs["address"], rows=made.outputs["Output"])


@dsl.pipeline(name="fails-then-more")
def fails_then_more():
    failed = fail(text="the disk is full")
    echo(text=failed.output)


@dsl.pipeline(name="user-error")
def user_error():
    blame_the_input(column="tenure")


def steps_of(result: Run) -> list[str]:
    return [step.name for step in result.steps]


def test_a_run_gives_its_identity_its_steps_and_its_outputs(tmp_path: Path) -> None:
    result = run(one_step, {"text": "hello"}, name="training", root=tmp_path)

    assert result.run_id.startswith("training-")
    assert result.status == "SUCCEEDED"
    assert result.outputs == {"Output": "hello"}
    step = result.step("echo")
    assert (step.image, step.status, step.outputs) == (MONITORING, "SUCCEEDED", {"Output": "hello"})
    assert 0 < step.seconds < 30
    assert step.log == tmp_path / result.run_id / "logs" / "echo.log"
    assert "Wrote executor output file" in step.log.read_text()


def test_two_runs_of_one_name_share_nothing(tmp_path: Path) -> None:
    first, second = (run(one_step, {"text": text}, name="same", root=tmp_path) for text in ("a", "b"))

    assert first.run_id != second.run_id
    assert (first.outputs["Output"], second.outputs["Output"]) == ("a", "b")
    assert {path.name for path in tmp_path.iterdir()} == {first.run_id, second.run_id}


@pytest.mark.parametrize("text", [AWKWARD, "", "python3", "'", '"', "Zürich 東京 🙂"])
def test_text_reaches_a_step_unchanged(tmp_path: Path, text: str) -> None:
    result = run(one_step, {"text": text}, name="text", root=tmp_path)

    assert result.step("echo").outputs["Output"] == text


@pytest.mark.parametrize(("number", "said"), [(1, "positive"), (-1, "not positive")])
def test_only_the_branch_whose_condition_holds_runs(tmp_path: Path, number: int, said: str) -> None:
    result = run(branches, {"number": number}, name="branches", root=tmp_path)

    assert len(result.steps) == 2
    assert result.step("is-positive").outputs == {"Output": number > 0}
    assert result.steps[1].outputs == {"Output": said}
    assert ("echo" in result, "echo-2" in result) == (number > 0, number <= 0)


@pytest.mark.parametrize(
    ("text", "other", "equal"),
    [(AWKWARD, AWKWARD, True), ("it's", "its", False), ("a && b", "a  and  b", False), ("' or '' == '", "x", False)],
)
def test_a_condition_compares_text_as_it_is(tmp_path: Path, text: str, other: str, equal: bool) -> None:
    result = run(compares_text, {"text": text, "other": other}, name="compare", root=tmp_path)

    assert ("echo-3" in result) is equal


@pytest.mark.parametrize("store", ["s3://churn/snapshots/e3b0c442.parquet", "/elsewhere/objects/e3b0c442.parquet"])
def test_an_address_and_its_metadata_travel_to_the_next_step(tmp_path: Path, store: str) -> None:
    result = run(hands_over, {"store": store}, name="artifacts", root=tmp_path)

    metadata = {"digest": "e3b0c442", "rows": 7043, "columns": ["a", "b"], "share": 0.25}
    seen = result.step("consume").outputs
    assert seen == {"content": "a,b\n1,2\n", "uri": store, "metadata": metadata, "rows": 2**31}
    made = result.step("produce").outputs
    assert (made["address"].uri, made["address"].metadata) == (store, metadata)
    assert made["metrics"].metadata == {"roc_auc": 0.85}
    assert made["Output"] == 2**31


def test_artifacts_outlive_the_run_and_its_workspace_does_not(tmp_path: Path) -> None:
    result = run(hands_over, {"store": "s3://churn/x"}, name="artifacts", root=tmp_path)

    table = Path(result.step("produce").outputs["table"].path)
    assert table.is_relative_to(tmp_path / result.run_id / "artifacts")
    assert table.read_text() == "a,b\n1,2\n"
    assert {path.name for path in (tmp_path / result.run_id).iterdir()} == {"artifacts", "logs"}


def test_a_failed_step_is_named_with_its_reason_and_its_log(tmp_path: Path) -> None:
    with pytest.raises(StepFailed) as caught:
        run(fails_then_more, {}, name="fails", root=tmp_path)

    error = caught.value
    assert error.step == "fail"
    assert "step fail failed: RuntimeError: the disk is full" in str(error)
    assert str(error.log) in str(error)
    assert "about to fail" in error.log.read_text()
    assert error.run is not None
    assert [(step.name, step.status) for step in error.run.steps] == [("fail", "FAILED")]
    assert error.run.status == "FAILED"


def test_an_error_of_the_user_is_raised_again_as_one(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        run(user_error, {}, name="user", root=tmp_path)

    assert str(caught.value) == "customers.csv: column tenure is missing (add it)"
    log = next(tmp_path.glob("*/logs/blame-the-input.log")).read_text()
    assert str(caught.value) in log
    assert "Traceback" not in log


def test_a_step_that_exits_with_status_2_without_a_message_has_simply_failed(tmp_path: Path) -> None:
    @dsl.component(base_image=MONITORING, install_kfp_package=False)
    def exits():
        raise SystemExit(2)

    @dsl.pipeline(name="exits")
    def pipeline():
        exits()

    with pytest.raises(StepFailed, match="exit status 2"):
        run(pipeline, {}, name="exits", root=tmp_path)


def test_a_step_killed_by_a_signal_says_so(tmp_path: Path) -> None:
    @dsl.component(base_image=MONITORING, install_kfp_package=False)
    def dies():
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL)

    @dsl.pipeline(name="dies")
    def pipeline():
        dies()

    with pytest.raises(StepFailed, match="ended by SIGKILL"):
        run(pipeline, {}, name="dies", root=tmp_path)


def test_a_number_that_kfp_cannot_carry_fails_the_step_that_made_it(tmp_path: Path) -> None:
    @dsl.component(base_image=MONITORING, install_kfp_package=False)
    def nan() -> float:
        return float("nan")

    @dsl.pipeline(name="nan")
    def pipeline():
        nan()

    with pytest.raises(StepFailed, match="step nan failed: KFP cannot read its outputs: NaN") as caught:
        run(pipeline, {}, name="nan", root=tmp_path)
    assert caught.value.log.exists()


@pytest.mark.parametrize("text", ["fine", "broken"])
def test_an_exit_handler_runs_whatever_happened_and_learns_it(tmp_path: Path, text: str) -> None:
    @dsl.component(base_image=MONITORING, install_kfp_package=False)
    def report(status: dsl.PipelineTaskFinalStatus) -> str:
        return status.state

    @dsl.component(base_image=MONITORING, install_kfp_package=False)
    def work(text: str):
        assert text == "fine", "not fine"

    @dsl.pipeline(name="exit-handler")
    def pipeline(text: str):
        with dsl.ExitHandler(report()):
            work(text=text)

    if text == "fine":
        result = run(pipeline, {"text": text}, name="exit", root=tmp_path)
    else:
        with pytest.raises(StepFailed, match="step work failed: AssertionError: not fine") as caught:
            run(pipeline, {"text": text}, name="exit", root=tmp_path)
        assert caught.value.run is not None
        result = caught.value.run
    assert steps_of(result) == ["work", "report"]
    assert result.step("report").outputs["Output"] == ("SUCCEEDED" if text == "fine" else "FAILED")


def test_a_retried_step_counts_once_with_the_outputs_of_its_last_attempt(tmp_path: Path) -> None:
    @dsl.component(base_image=MONITORING, install_kfp_package=False)
    def second_time_lucky(mark: str, table: Output[Dataset]) -> str:
        from pathlib import Path

        left_over = Path(table.path).exists()
        Path(table.path).write_text("here")
        if not Path(mark).exists():
            Path(mark).touch()
            raise RuntimeError("first attempt")
        return f"left over: {left_over}"

    @dsl.pipeline(name="retries")
    def pipeline(mark: str):
        second_time_lucky(mark=mark).set_retry(num_retries=1)

    kinds: list[str] = []
    result = run(
        pipeline,
        {"mark": str(tmp_path / "mark")},
        name="retries",
        root=tmp_path,
        on_step=lambda event: kinds.append(event.kind),
    )

    assert steps_of(result) == ["second-time-lucky"]
    assert result.steps[0].outputs["Output"] == "left over: False"
    assert kinds == ["started", "failed", "started", "finished"]
    assert "first attempt" in result.steps[0].log.read_text()


def test_a_loop_has_one_step_an_iteration(tmp_path: Path) -> None:
    @dsl.pipeline(name="loop")
    def pipeline(names: list):
        with dsl.ParallelFor(names) as name:
            echo(text=name)

    result = run(pipeline, {"names": ["a", "b", "c"]}, name="loop", root=tmp_path)

    assert sorted(steps_of(result)) == [f"for-loop-1-iteration-{i}/echo" for i in range(3)]
    assert {step.outputs["Output"] for step in result.steps} == {"a", "b", "c"}


def test_a_condition_that_kfp_cannot_evaluate_is_an_error_and_not_a_no(tmp_path: Path) -> None:
    @dsl.pipeline(name="bad-condition")
    def pipeline():
        with dsl.If(echo(text="it's").output == "it's"):  # KFP compiles this literal without escaping it
            echo(text="equal")

    with pytest.raises(RuntimeError, match="Condition evaluation failed"):
        run(pipeline, {}, name="condition", root=tmp_path)


def test_listeners_hear_of_every_step_in_order(tmp_path: Path) -> None:
    events: list[StepEvent] = []

    with pytest.raises(StepFailed):
        run(fails_then_more, {}, name="events", root=tmp_path, on_step=events.append)

    assert [(event.kind, event.step, event.image) for event in events] == [
        ("started", "fail", MONITORING),
        ("failed", "fail", MONITORING),
    ]
    assert events[0].seconds == 0 < events[1].seconds


def test_an_error_in_a_listener_reaches_the_caller(tmp_path: Path) -> None:
    def listener(_: StepEvent) -> None:
        raise LookupError("the listener's own fault")

    with pytest.raises(LookupError, match="the listener's own fault"):
        run(one_step, {}, name="listener", root=tmp_path, on_step=listener)


def test_nothing_is_printed_or_logged_but_what_the_caller_does(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def listener(event: StepEvent) -> None:
        print(event.kind)  # noqa: T201
        logging.getLogger().info("heard of %s", event.step)

    with caplog.at_level(logging.DEBUG):
        run(branches, {"number": 1}, name="quiet", root=tmp_path, on_step=listener)
        with pytest.raises(StepFailed):
            run(fails_then_more, {}, name="quiet", root=tmp_path)

    printed = capfd.readouterr()
    assert printed.out == "started\nfinished\nstarted\nfinished\n"  # and not indented
    assert printed.err == ""
    assert {record.getMessage() for record in caplog.records if record.name == "root"} == {
        "heard of is-positive",
        "heard of echo",
    }


def test_kfp_is_left_as_it_was(tmp_path: Path) -> None:
    def state() -> list[object]:
        return [
            subprocess_task_handler.SubprocessTaskHandler,
            logging_utils.local_logger_context,
            config.LocalExecutionConfig.instance,
            sys.modules["kfp.local.task_dispatcher"].__dict__["logging"],
            logging.getLogger().handlers[:],
            print,
        ]

    before = state()
    run(one_step, {}, name="before", root=tmp_path)
    with pytest.raises(StepFailed):
        run(fails_then_more, {}, name="after", root=tmp_path)

    assert state() == before


def test_a_component_that_installs_packages_when_it_runs_is_refused(tmp_path: Path) -> None:
    @dsl.component(base_image=MONITORING, install_kfp_package=False, packages_to_install=["six"])
    def installs():
        pass

    @dsl.pipeline(name="installs")
    def pipeline():
        installs()

    with pytest.raises(ValueError, match="exec-installs installs packages"):
        run(pipeline, {}, name="installs", root=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_component_that_is_not_python_is_refused(tmp_path: Path) -> None:
    @dsl.container_component
    def says():
        return dsl.ContainerSpec(image=MONITORING, command=["echo"], args=["hello"])

    @dsl.pipeline(name="says")
    def pipeline():
        says()

    with pytest.raises(ValueError, match="exec-says is not a Python component"):
        run(pipeline, {}, name="says", root=tmp_path)


def test_settings_that_only_a_cluster_heeds_are_no_warning(tmp_path: Path) -> None:
    @dsl.pipeline(name="limits")
    def pipeline():
        echo(text="small").set_cpu_limit("1").set_memory_limit("1Gi").set_display_name("Echo")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run(pipeline, {}, name="limits", root=tmp_path).status == "SUCCEEDED"


def test_an_unknown_argument_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="tenure"):
        run(one_step, {"tenure": 1}, name="unknown", root=tmp_path)


def test_a_root_that_cannot_be_written_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(UserError, match=r"file/.*cannot be written.*CHURN_HOME"):
        run(one_step, {}, name="root", root=tmp_path / "file")
