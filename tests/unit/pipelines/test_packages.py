from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp import components
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec

from churn.domain.errors import UserError
from local import packages

ROOT = Path(__file__).resolve().parents[3]


def test_compiling_twice_in_two_processes_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        command = [sys.executable, "-m", "local.main", "pipeline", "compile", "--out", str(tmp_path / name)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    first, second = (sorted((tmp_path / name).iterdir()) for name in ("first", "second"))
    pipelines = sorted(packages.pipelines())
    assert [path.name for path in first] == [
        f"{name}{end}" for name in pipelines for end in (".resources.yaml", ".yaml")
    ]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_the_package_names_an_image_a_role_and_installs_nothing(tmp_path: Path) -> None:
    packages.write(tmp_path)
    [package, *_] = yaml.safe_load_all((tmp_path / "training.yaml").read_text())
    containers = [executor["container"] for executor in package["deploymentSpec"]["executors"].values()]
    assert {container["image"] for container in containers} == {"churn/data-processing:dev", "churn/model-training:dev"}
    assert not any("pip install" in text for container in containers for text in container["command"])


def test_the_batch_package_scores_in_the_image_that_serves_and_retries_a_shard_alone(tmp_path: Path) -> None:
    packages.write(tmp_path)
    [package, *_] = yaml.safe_load_all((tmp_path / "batch.yaml").read_text())
    executors = package["deploymentSpec"]["executors"]
    assert executors["exec-score"]["container"]["image"] == "churn/model-serving:dev"
    assert {executors[f"exec-{name}"]["container"]["image"] for name in ("plan-batch", "close-batch")} == {
        "churn/data-processing:dev"
    }
    [loop] = [one for name, one in package["components"].items() if name.startswith("comp-for-loop")]
    assert loop["dag"]["tasks"]["score"]["retryPolicy"]["maxRetryCount"] == 2


def test_registry_and_tag_are_chosen_when_compiling(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "local.main", "pipeline", "compile", "--out", str(tmp_path)]
    chosen = {"CHURN_IMAGE_REGISTRY": "registry.example/team", "CHURN_IMAGE_TAG": "1.2.3"}
    subprocess.run(command, cwd=ROOT, env={**os.environ, **chosen}, check=True, capture_output=True)
    assert "registry.example/team/model-training:1.2.3" in (tmp_path / "training.yaml").read_text()


@pytest.mark.parametrize("name", packages.pipelines())
def test_each_package_is_one_that_kfp_loads_back_unchanged(name: str, tmp_path: Path) -> None:
    package = packages.compiled(name, tmp_path)
    loaded, given = components.load_component_from_file(str(package)), packages.pipelines()[name]
    assert loaded.pipeline_spec == given.pipeline_spec
    assert loaded.platform_spec == given.platform_spec
    [document, *_] = yaml.safe_load_all(package.read_text())
    assert json_format.ParseDict(document, PipelineSpec()) == given.pipeline_spec
    assert document["root"]["inputDefinitions"]["parameters"].keys() == given.component_spec.inputs.keys()


@pytest.mark.parametrize("name", packages.pipelines())
def test_the_resources_are_a_pipeline_and_its_version_named_by_its_content(name: str, tmp_path: Path) -> None:
    packages.write(tmp_path)
    pipeline, version = yaml.safe_load_all((tmp_path / f"{name}.resources.yaml").read_text())
    assert [pipeline["kind"], version["kind"]] == ["Pipeline", "PipelineVersion"]
    assert version["metadata"]["name"] == packages.version(tmp_path / f"{name}.yaml")
    assert version["spec"]["pipelineSpec"]["root"]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file"):
        packages.write(tmp_path / "file")
