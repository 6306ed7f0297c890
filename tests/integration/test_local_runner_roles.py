"""A role is what its image holds, on this machine too: its own interpreter, its own packages, and no others.

KFP reads annotations as objects: no `from __future__ import annotations` beside a component.
"""

import importlib.util
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from kfp import dsl

from churn.domain.errors import UserError
from components.images import ROLES, Role, image
from local.runner import StepFailed, run
from local.runner.environments import PROJECT, Environments

LACKING: dict[Role, str] = {  # a package that the role lacks and the environment of these tests has
    "data-processing": "sklearn",
    "model-training": "kserve",
    "model-serving": "mlflow",
    "monitoring": "feast",
}

IMPORT_EACH = """
import importlib, importlib.metadata, json, re, sys

modules = {}
for module, distributions in importlib.metadata.packages_distributions().items():
    for distribution in distributions:
        modules.setdefault(re.sub("[-_.]+", "-", distribution).lower(), []).append(module)
failures = {}
for distribution in sys.argv[1:]:
    public = [module for module in modules.get(distribution, []) if module.isidentifier() and module[0] != "_"]
    namesake = distribution.replace("-", "_")
    if not public:
        failures[distribution] = "not installed"
    for module in [namesake] if namesake in public else public:
        try:
            importlib.import_module(module)
        except Exception as error:
            if "libgomp" not in str(error):  # LightGBM's, from the system; without it that candidate is left out
                failures[f"{distribution}: {module}"] = repr(error)
json.dump(failures, sys.stdout)
"""


def direct_dependencies(role: Role) -> list[str]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    requirements = [*project["dependencies"], *project["optional-dependencies"][role]]
    names = [re.match(r"[\w.-]+", requirement) for requirement in requirements]
    return [re.sub(r"[-_.]+", "-", name.group()).lower() for name in names if name]


@dsl.component(base_image=image("data-processing"), install_kfp_package=False)
def import_in_data_processing(package: str):
    import importlib

    importlib.import_module(package)


@dsl.component(base_image=image("model-training"), install_kfp_package=False)
def import_in_model_training(package: str):
    import importlib

    importlib.import_module(package)


@dsl.component(base_image=image("model-serving"), install_kfp_package=False)
def import_in_model_serving(package: str):
    import importlib

    importlib.import_module(package)


@dsl.component(base_image=image("monitoring"), install_kfp_package=False)
def import_in_monitoring(package: str):
    import importlib

    importlib.import_module(package)


@dsl.component(base_image=image("monitoring"), install_kfp_package=False)
def describe_the_process() -> dict:
    import os
    import sys
    from pathlib import Path

    import components.images

    return {
        "prefix": sys.prefix,
        "path": sys.path,
        "components": components.images.__file__,
        "working directory": [path.name for path in Path.cwd().iterdir()],
        "cwd": str(Path.cwd()),
        "variables": dict(os.environ),
    }


@dsl.pipeline(name="describes")
def describes():
    describe_the_process()


IMPORTERS = {
    "data-processing": import_in_data_processing,
    "model-training": import_in_model_training,
    "model-serving": import_in_model_serving,
    "monitoring": import_in_monitoring,
}


@pytest.mark.parametrize("role", ROLES)
def test_a_step_cannot_import_what_its_role_lacks(tmp_path: Path, role: Role) -> None:
    package = LACKING[role]
    assert importlib.util.find_spec(package), "else this test could not fail"

    @dsl.pipeline(name="imports")
    def pipeline(package: str):
        IMPORTERS[role](package=package)

    with pytest.raises(StepFailed, match=f"ModuleNotFoundError: No module named '{package}'"):
        run(pipeline, {"package": package}, name="lacks", root=tmp_path)
    assert run(pipeline, {"package": "onnx"}, name="has", root=tmp_path).status == "SUCCEEDED"


@pytest.mark.parametrize("role", ROLES)
def test_a_role_imports_each_of_its_direct_dependencies(role: Role) -> None:
    command = [Environments().python(role), "-I", "-c", IMPORT_EACH, *direct_dependencies(role)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {}


def test_a_step_sees_its_role_the_project_and_an_empty_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/from/the/caller")
    monkeypatch.setenv("CHURN_SECRET", "kept")

    seen = run(describes, {}, name="describe", root=tmp_path).step("describe-the-process").outputs["Output"]

    role = Environments().prefix("monitoring")
    assert seen["prefix"] == str(role)
    assert seen["components"] == str(PROJECT / "components" / "images.py")
    outside = [entry for entry in seen["path"] if "site-packages" in entry and not entry.startswith(str(role))]
    assert outside == []
    assert "/from/the/caller" not in seen["path"]
    assert seen["working directory"] == []
    assert not Path(seen["cwd"]).exists()
    assert seen["variables"]["CHURN_SECRET"] == "kept"


def test_a_relative_home_means_the_callers_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHURN_HOME", "state")

    seen = run(describes, {}, name="home", root=tmp_path).step("describe-the-process").outputs["Output"]

    assert seen["variables"]["CHURN_HOME"] == str(tmp_path / "state")


def test_each_step_can_be_given_an_environment_of_its_own(tmp_path: Path) -> None:
    @dsl.pipeline(name="describes-twice")
    def pipeline():
        first = describe_the_process()
        describe_the_process().after(first)

    result = run(
        pipeline, {}, name="own", root=tmp_path, environment=lambda step: {"CHURN_HOME": str(tmp_path / "homes" / step)}
    )

    homes = [step.outputs["Output"]["variables"]["CHURN_HOME"] for step in result.steps]
    assert homes == [str(tmp_path / "homes" / step.name) for step in result.steps]
    assert len(set(homes)) == 2


def test_a_role_without_an_environment_is_named_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_ENVIRONMENTS", str(tmp_path / "nowhere"))

    with pytest.raises(UserError, match=r"nowhere: no environment for monitoring \(make install\)"):
        run(describes, {}, name="missing", root=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_an_image_of_no_role_is_refused(tmp_path: Path) -> None:
    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def elsewhere():
        pass

    @dsl.pipeline(name="elsewhere")
    def pipeline():
        elsewhere()

    with pytest.raises(ValueError, match=r"python:3\.11 is the image of no role"):
        run(pipeline, {}, name="image", root=tmp_path)
