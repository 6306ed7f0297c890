"""What a training run leaves in MLflow."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Schema

DIGEST = "digest"
"""The tag that carries a bundle's digest, on logged models and registered versions."""

_DATASET_DIGEST_LENGTH = 36  # MLflow's limit; the whole one stands in the tag


class Run:
    """An open run; `Registry.run` makes and ends it."""

    def __init__(self, client: MlflowClient, experiment: str, run_id: str) -> None:
        self.id = run_id
        self._client = client
        self._experiment = experiment

    def log(
        self,
        *,
        params: Mapping[str, object] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Adds parameters, metrics and tags."""
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        self._client.log_batch(
            self.id,
            metrics=[Metric(name, float(value), now, 0) for name, value in (metrics or {}).items()],
            params=[Param(name, str(value)) for name, value in (params or {}).items()],
            tags=[RunTag(name, value) for name, value in (tags or {}).items()],
        )

    def log_dataset(self, name: str, digest: str, address: str) -> None:
        """Says which snapshot the run was trained on."""
        from mlflow.entities import Dataset, DatasetInput

        dataset = Dataset(name, digest[:_DATASET_DIGEST_LENGTH], source_type="address", source=address)
        self._client.log_inputs(self.id, [DatasetInput(dataset)])
        self.log(tags={"data.digest": digest})

    def log_files(self, folder: Path, under: str = "") -> None:
        """Uploads all files of a folder: plots, reports."""
        self._client.log_artifacts(self.id, str(folder), under or None)

    def log_bundle(self, folder: Path, digest: str, example: NDArray[np.float64]) -> None:
        """Logs the bundle as an MLflow model of the onnx flavour, the whole folder beside its graph.

        `example` is a matrix (n, k) of the graph's input; the signature is the graph's own."""
        from mlflow.entities import LoggedModelOutput

        graph = onnx.load_model(folder / "model.onnx")
        model = self._client.create_logged_model(self._experiment, "bundle", self.id, tags={DIGEST: digest})
        status: Literal["READY", "FAILED"] = "FAILED"
        try:
            with tempfile.TemporaryDirectory() as temporary:
                saved = Path(temporary, "model")
                self._save(graph, saved, model, folder, example)
                self._client.log_model_artifacts(model.model_id, str(saved))
            status = "READY"
        finally:
            self._client.finalize_logged_model(model.model_id, status)
        self._client.log_outputs(self.id, [LoggedModelOutput(model.model_id, step=0)])

    def _save(
        self, graph: onnx.ModelProto, path: Path, model: LoggedModel, bundle: Path, example: NDArray[np.float64]
    ) -> None:
        import mlflow.onnx
        from mlflow.models import Model

        mlflow.onnx.save_model(
            graph,
            path,
            mlflow_model=Model(artifact_path=model.artifact_location, run_id=self.id, model_id=model.model_id),
            signature=_signature(graph),
            input_example={graph.graph.input[0].name: example},
            # Inferring these takes 24 s.
            pip_requirements=[f"{name}=={version(name)}" for name in ("numpy", "onnx", "onnxruntime")],
            onnx_execution_providers=["CPUExecutionProvider"],
            save_as_external_data=False,
            extra_files=[str(bundle)],
        )


def _signature(graph: onnx.ModelProto) -> ModelSignature:
    from mlflow.models import ModelSignature

    return ModelSignature(inputs=_schema(graph.graph.input), outputs=_schema(graph.graph.output))


def _schema(values: Any) -> Schema:
    from mlflow.types.schema import Schema, TensorSpec

    def spec(value: onnx.ValueInfoProto) -> TensorSpec:
        tensor = value.type.tensor_type
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        shape = tuple(size.dim_value if size.HasField("dim_value") else -1 for size in tensor.shape.dim)
        return TensorSpec(dtype, shape, value.name)

    return Schema([spec(value) for value in values])
