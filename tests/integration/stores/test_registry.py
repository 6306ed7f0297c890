from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from churn.domain.errors import UserError
from churn.stores.digests import digest_of_folder
from churn.stores.registry import Registry
from churn.stores.settings import Settings
from tests.integration.stores.conftest import QUICK
from tests.servers import free_port

DIGEST, OTHER = "a" * 64, "b" * 64
EXAMPLE = np.array([[1.0, 2.0, np.nan], [0.0, 0.5, 1.0]])


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle's folder with a graph that gives the sigmoid of its columns' sum."""
    graph = helper.make_graph(
        [
            helper.make_node("ReduceSum", ["columns", "axes"], ["sum"], keepdims=0),
            helper.make_node("Sigmoid", ["sum"], ["probability"]),
        ],
        "model",
        [helper.make_tensor_value_info("columns", TensorProto.DOUBLE, ["n", 3])],
        [helper.make_tensor_value_info("probability", TensorProto.DOUBLE, ["n"])],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [1])],
    )
    folder = tmp_path / "bundle"
    (folder / "reference").mkdir(parents=True)
    onnx.save_model(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx"
    )
    (folder / "bundle.json").write_text("{}")
    (folder / "reference" / "sample.parquet").write_bytes(b"rows")
    return folder


@pytest.fixture(scope="session")
def blank_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database with nothing in it: its creation takes a second, a copy none."""
    home = tmp_path_factory.mktemp("blank")
    Registry(Settings.load({"CHURN_HOME": str(home)}))
    return home / "mlflow" / "mlflow.db"


@pytest.fixture
def registry(settings: Settings, blank_registry: Path) -> Registry:
    (settings.home / "mlflow").mkdir(parents=True)
    shutil.copyfile(blank_registry, settings.home / "mlflow" / "mlflow.db")
    return Registry(settings)


def _trained(registry: Registry, bundle: Path, digest: str = DIGEST, model: str = "telco") -> str:
    with registry.run(model) as run:
        run.log_bundle(bundle, digest, EXAMPLE)
    return run.id


def _status(registry: Registry, run_id: str) -> str:
    return str(registry._client.get_run(run_id).info.status)


def test_a_run_keeps_what_was_logged(registry: Registry, settings: Settings, tmp_path: Path) -> None:
    plots = tmp_path / "plots"
    plots.mkdir()
    (plots / "roc.png").write_bytes(b"png")
    with registry.run("telco", "xgboost") as run:
        run.log(params={"depth": 3}, metrics={"cv.roc_auc": 0.85, "cv.nan": np.nan}, tags={"chosen": "xgboost"})
        run.log(params={f"p{number}": number for number in range(250)})
        run.log_dataset("telco", DIGEST, "s3://bucket/snapshots/a.parquet")
        run.log_files(plots, "plots")

    found = registry._client.get_run(run.id)
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "xgboost"
    assert found.data.params["depth"] == "3"
    assert len(found.data.params) == 251
    assert found.data.metrics["cv.roc_auc"] == 0.85
    assert found.data.tags["chosen"] == "xgboost"
    assert found.data.tags["data.digest"] == DIGEST
    assert found.inputs is not None
    assert found.inputs.dataset_inputs[0].dataset.source == "s3://bucket/snapshots/a.parquet"
    assert registry._client.get_experiment(found.info.experiment_id).name == "telco"
    assert list(Path(settings.mlflow_artifacts, "telco").rglob("plots/roc.png"))


def test_a_registered_bundle_is_an_mlflow_model_that_predicts(
    registry: Registry, bundle: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    version = registry.register("telco", _trained(registry, bundle), DIGEST)
    monkeypatch.setattr(mlflow.tracking._tracking_service.utils, "_tracking_uri", settings.mlflow_uri)
    model = mlflow.pyfunc.load_model(f"models:/telco/{version}")

    assert model.metadata.signature.inputs.to_dict() == [
        {"name": "columns", "type": "tensor", "tensor-spec": {"dtype": "float64", "shape": (-1, 3)}}
    ]
    assert model.predict({"columns": EXAMPLE[1:]})["probability"] == pytest.approx(1 / (1 + np.exp(-1.5)))
    assert model.input_example["columns"][1].tolist() == EXAMPLE[1].tolist()
    saved = Path(model.metadata.artifact_path)
    assert digest_of_folder(saved / "extra_files" / "bundle") == digest_of_folder(bundle)
    pins = (saved / "requirements.txt").read_text().split()
    assert {pin.split("==")[0] for pin in pins} == {"mlflow", "numpy", "onnx", "onnxruntime"}
    assert all("==" in pin for pin in pins)


def test_a_digest_is_registered_once(registry: Registry, bundle: Path) -> None:
    first, again = _trained(registry, bundle), _trained(registry, bundle)
    other = _trained(registry, bundle, OTHER)

    assert registry.register("telco", first, DIGEST) == 1
    assert registry.register("telco", again, DIGEST) == 1
    assert registry.register("telco", other, OTHER) == 2
    assert registry.register("telco", first, DIGEST) == 1
    assert [found.version for found in registry.versions("telco")] == [2, 1]


def test_the_same_digest_may_serve_two_models(registry: Registry, bundle: Path) -> None:
    for model in ("telco", "telco-demo"):
        assert registry.register(model, _trained(registry, bundle, model=model), DIGEST) == 1

    assert registry.models() == ["telco", "telco-demo"]


def test_a_bundle_the_run_did_not_log_is_not_registered(registry: Registry, bundle: Path) -> None:
    run_id = _trained(registry, bundle)

    with pytest.raises(LookupError, match=OTHER):
        registry.register("telco", run_id, OTHER)

    assert registry.models() == []


def test_a_version_tells_what_its_run_measured(registry: Registry, bundle: Path) -> None:
    with registry.run("telco") as run:
        run.log(params={"depth": 3}, metrics={"roc_auc": 0.85})
        run.log_bundle(bundle, DIGEST, EXAMPLE)
    registry.register("telco", run.id, DIGEST, tags={"data": OTHER}, description="better by .01")
    registry.mirror_aliases("telco", 1)

    (found,) = registry.versions("telco")

    assert (found.model, found.version, found.digest, found.run_id) == ("telco", 1, DIGEST, run.id)
    assert found.description == "better by .01"
    assert found.aliases == ("champion",)
    assert found.tags["data"] == OTHER
    assert found.metrics == {"roc_auc": 0.85}
    assert found.params == {"depth": "3"}
    assert found.created.utcoffset() is not None


def test_aliases_follow_the_traffic_document(registry: Registry, bundle: Path) -> None:
    for digest in (DIGEST, OTHER):
        registry.register("telco", _trained(registry, bundle, digest), digest)

    registry.mirror_aliases("telco", 1, 2)
    before = [found.aliases for found in registry.versions("telco")]
    registry.mirror_aliases("telco", 2)
    registry.mirror_aliases("telco", 2)

    assert before == [("challenger",), ("champion",)]
    assert [found.aliases for found in registry.versions("telco")] == [("champion",), ()]


def test_an_unknown_model_has_no_versions(registry: Registry) -> None:
    assert registry.versions("telco") == []


def test_a_name_that_could_change_a_search_is_refused(registry: Registry) -> None:
    with pytest.raises(UserError, match="cannot name a model"):
        registry.register("x' OR name != 'y", "run", DIGEST)


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_run_that_did_not_end_well_says_so(
    registry: Registry, settings: Settings, error: type[BaseException], status: str
) -> None:
    ids = []

    def train() -> None:
        with registry.run("telco") as run:
            ids.append(run.id)
            raise error

    with pytest.raises(error):
        train()

    assert _status(registry, ids[0]) == status
    assert list((settings.home / "locks").iterdir()) == []


KILLED = """
import os, signal
from pathlib import Path
import numpy as np
from churn.stores.registry import Registry
from churn.stores.settings import Settings
registry = Registry(Settings.load())
registry._client.log_model_artifacts = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
with registry.run("telco", "killed") as run:
    run.log_bundle(Path({bundle!r}), "a" * 64, np.ones((2, 3)))
"""


def test_a_run_whose_process_was_killed_is_marked_by_the_next_one_and_living_ones_are_not(
    registry: Registry, settings: Settings, bundle: Path, kill: Callable[[str, Settings], None]
) -> None:
    def by_name() -> dict[str, str]:
        experiment = registry._client.get_experiment_by_name("telco")
        assert experiment is not None
        return {run.info.run_name: run.info.status for run in registry._client.search_runs([experiment.experiment_id])}

    with registry.run("telco", "living"):
        kill(KILLED.format(bundle=str(bundle)), settings)
        assert by_name() == {"living": "RUNNING", "killed": "RUNNING"}

        with registry.run("telco", "next") as run:
            run.log_bundle(bundle, DIGEST, EXAMPLE)
            assert by_name() == {"living": "RUNNING", "killed": "KILLED", "next": "RUNNING"}

    assert by_name() == {"living": "FINISHED", "killed": "KILLED", "next": "FINISHED"}
    assert registry.register("telco", run.id, DIGEST) == 1
    assert list((settings.home / "locks").iterdir()) == []
    experiment = registry._client.get_experiment_by_name("telco")
    assert experiment is not None
    logged = registry._client.search_logged_models([experiment.experiment_id])
    assert sorted(str(model.status) for model in logged) == ["FAILED", "READY"]


def test_an_experiment_deleted_by_somebody_is_restored(registry: Registry) -> None:
    with registry.run("telco"):
        pass
    registry._client.delete_experiment(registry._experiment("telco"))

    with registry.run("telco") as run:
        pass

    assert _status(registry, run.id) == "FINISHED"


def test_a_run_of_another_machine_is_left_alone(registry: Registry, settings: Settings, tmp_path: Path) -> None:
    elsewhere = Registry(msgspec.structs.replace(settings, home=tmp_path / "elsewhere"))
    with elsewhere.run("telco") as theirs:
        with registry.run("telco"):
            pass
        assert _status(registry, theirs.id) == "RUNNING"


MIGRATION_KILLED = """
import os, signal
from churn.stores import files
from churn.stores.registry import Registry
from churn.stores.settings import Settings
files.publish = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
Registry(Settings.load())
"""


def test_a_first_start_killed_in_the_middle_leaves_no_half_a_database(
    settings: Settings, kill: Callable[[str, Settings], None]
) -> None:
    kill(MIGRATION_KILLED, settings)

    assert not list(settings.home.glob("mlflow/mlflow.db*"))
    assert Registry(settings).models() == []


RACE = """
import sys
from pathlib import Path
import numpy as np
from churn.stores.registry import Registry
from churn.stores.settings import Settings
import mlflow.onnx
settings = Settings.load()
print("ready", flush=True)
sys.stdin.readline()
registry = Registry(settings)
with registry.run("telco") as run:
    run.log_bundle(Path({bundle!r}), "a" * 64, np.ones((2, 3)))
print(registry.register("telco", run.id, "a" * 64))
"""


def test_processes_at_once_share_a_first_start_and_a_digests_version(
    settings: Settings, bundle: Path, race: Callable[[str, Settings, int], list[str]]
) -> None:
    assert race(RACE.format(bundle=str(bundle)), settings, 2) == ["1"] * 2

    assert [found.version for found in Registry(settings).versions("telco")] == [1]


WHOLE = """
import sys
from pathlib import Path
import numpy as np
from churn.stores.registry import Registry
from churn.stores.settings import Settings
print("ready", flush=True)
sys.stdin.readline()
registry = Registry(Settings.load())
with registry.run("telco") as run:
    run.log(params={{"depth": 3}}, metrics={{"roc_auc": .8}})
    run.log_bundle(Path({bundle!r}), "a" * 64, np.array([[1, 2, np.nan]]))
version = registry.register("telco", run.id, "a" * 64)
registry.mirror_aliases("telco", version)
client = registry._client
print(client.get_model_version("telco", "1").source)
"""


def test_a_run_with_artifacts_on_s3_prints_nothing_of_mlflows(
    s3_settings: Settings, bucket: str, bundle: Path, race: Callable[[str, Settings, int], list[str]]
) -> None:
    settings = msgspec.structs.replace(s3_settings, mlflow_artifacts=f"{bucket}/mlflow")

    (printed,) = race(WHOLE.format(bundle=str(bundle)), settings, 1)

    assert printed.startswith(f"{bucket}/mlflow/telco/")
    assert len(printed.splitlines()) == 1


def test_the_registry_may_lie_in_postgres(settings: Settings, database_url: str, bundle: Path) -> None:
    registry = Registry(msgspec.structs.replace(settings, mlflow_uri=database_url))

    assert registry.register("telco", _trained(registry, bundle), DIGEST) == 1
    assert [found.digest for found in registry.versions("telco")] == [DIGEST]


def test_a_tracking_server_that_is_not_there_is_told_with_its_address(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("churn.stores.mlflow_client.PATIENT", QUICK)
    nowhere = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(UserError, match=rf"{nowhere}: MLflow does not answer.*CHURN_MLFLOW_URI"):
        Registry(msgspec.structs.replace(settings, mlflow_uri=nowhere, mlflow_artifacts=""))


def test_a_wrong_password_is_told_without_it(settings: Settings, postgres: str) -> None:
    wrong = postgres.replace("sesame", "hunter2")

    with pytest.raises(UserError, match=r"password authentication failed.*CHURN_MLFLOW_URI") as caught:
        Registry(msgspec.structs.replace(settings, mlflow_uri=wrong))

    assert "hunter2" not in str(caught.value)


def test_a_database_of_another_mlflow_is_told_with_its_address(registry: Registry, settings: Settings) -> None:
    file = settings.home / "mlflow" / "other.db"
    shutil.copyfile(settings.home / "mlflow" / "mlflow.db", file)
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'older'")

    with pytest.raises(UserError, match=r"other\.db: Detected out-of-date database schema"):
        Registry(msgspec.structs.replace(settings, mlflow_uri=f"sqlite:///{file}"))
