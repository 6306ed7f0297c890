"""`--runner docker`: what it says when something is missing and, with an engine and an image (-m docker), what it runs.

KFP reads annotations as objects: no `from __future__ import annotations` beside a component.
"""

import contextlib
import os
from pathlib import Path

import pytest
from kfp import dsl
from kfp.dsl import Dataset, Input, Output

import docker
from churn.domain.errors import UserError
from components.images import image
from local.runner import StepFailed, run

MONITORING = image("monitoring")


@dsl.component(base_image=MONITORING, install_kfp_package=False)
def write(source: str, table: Output[Dataset]) -> str:
    import os
    from pathlib import Path

    Path(table.path).write_text(Path(source).read_text())
    Path(os.environ["CHURN_HOME"], "objects").write_text("kept")
    return os.environ["CHURN_FLAVOUR"]


@dsl.component(base_image=MONITORING, install_kfp_package=False)
def read(table: Input[Dataset]) -> str:
    from pathlib import Path

    return Path(table.path).read_text()


@dsl.component(base_image=MONITORING, install_kfp_package=False)
def fail_at_once():
    import os

    os._exit(7)


@dsl.component(base_image=MONITORING, install_kfp_package=False)
def blame_the_input():
    from churn.domain.errors import UserError
    from components.reporting import reported

    with reported():
        raise UserError("the table is empty", where="customers.csv")


@dsl.pipeline(name="writes-and-reads")
def writes_and_reads(source: str):
    read(table=write(source=source).outputs["table"])


@dsl.pipeline(name="fails-at-once")
def fails_at_once():
    fail_at_once()


@dsl.pipeline(name="blames")
def blames():
    blame_the_input()


def test_a_missing_engine_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")

    with pytest.raises(UserError, match=r"no engine answers .*leave out --runner docker"):
        run(fails_at_once, {}, name="docker", root=tmp_path / "runs", runner="docker")
    assert not (tmp_path / "runs").exists()


@pytest.mark.docker
def test_a_missing_image_is_named(tmp_path: Path) -> None:
    @dsl.component(base_image=image("monitoring", tag="never-built"), install_kfp_package=False)
    def nothing():
        pass

    @dsl.pipeline(name="missing-image")
    def pipeline():
        nothing()

    with pytest.raises(UserError, match="no image churn/monitoring:never-built"):
        run(pipeline, {}, name="docker", root=tmp_path, runner="docker")


@pytest.mark.docker
def test_containers_meet_through_artifacts_and_see_the_home_and_the_input(tmp_path: Path) -> None:
    source = tmp_path / "elsewhere" / "customers.csv"
    source.parent.mkdir()
    source.write_text("a,b\n")
    home = tmp_path / "home"

    result = run(
        writes_and_reads,
        {"source": str(source)},
        name="docker",
        root=tmp_path / "runs",
        runner="docker",
        environment={"CHURN_HOME": str(home), "CHURN_FLAVOUR": "telco"},
    )

    assert result.step("write").outputs["Output"] == "telco"
    assert result.step("read").outputs["Output"] == "a,b\n"
    assert (home / "objects").read_text() == "kept"
    assert (home / "objects").stat().st_uid == os.getuid()
    assert "Wrote executor output file" in result.step("read").log.read_text()


@pytest.mark.docker
def test_a_container_that_fails_at_once_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="step fail-at-once failed: exit status 7"):
        run(fails_at_once, {}, name="docker", root=tmp_path, runner="docker")


@pytest.mark.docker
def test_an_error_of_the_user_leaves_a_container_as_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^customers.csv: the table is empty$"):
        run(blames, {}, name="docker", root=tmp_path, runner="docker")


@pytest.mark.docker
def test_no_container_stays_behind(tmp_path: Path) -> None:
    with pytest.raises(StepFailed) as caught:
        run(fails_at_once, {}, name="docker", root=tmp_path, runner="docker")

    assert caught.value.run is not None
    with contextlib.closing(docker.from_env()) as engine:
        assert not engine.containers.list(all=True, filters={"label": f"churn.run={caught.value.run.run_id}"})
