"""KServe as its tutorials use it: a Model with pandas and the pipeline, everything else as it comes.

Kinder than KServe's own `InferRequest.as_dataframe`, which makes a DataFrame of each tensor: one is made of all."""

from __future__ import annotations

import os
from typing import Any

import pandas as pd
from kserve import InferInput, InferOutput, InferRequest, InferResponse, Model, ModelServer, model_server
from kserve.utils.utils import generate_uuid

from tests.benchmarks.serving.peers import pipeline

THRESHOLD = float(os.environ["PEER_THRESHOLD"])
HIGH_RISK = float(os.environ["PEER_HIGH_RISK"])


class Churn(Model):
    def load(self) -> bool:
        self.pipeline = pipeline.load(os.environ["PEER_PIPELINE"])
        self.ready = True
        return self.ready

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        if isinstance(payload, InferRequest):
            frame = pd.DataFrame({tensor.name: values(tensor) for tensor in payload.inputs})
            return self.tensors(payload, self.score(frame))
        frame = pd.DataFrame(payload["instances"])
        return {
            "predictions": [{"probability": p, "decision": p >= THRESHOLD, "risk": risk(p)} for p in self.score(frame)]
        }

    def score(self, frame: pd.DataFrame) -> list[float]:
        return self.pipeline.predict_proba(frame)[:, 1].tolist()

    def tensors(self, request: InferRequest, found: list[float]) -> InferResponse:
        shape = [len(found)]
        outputs = [
            InferOutput("probability", shape, "FP64", found),
            InferOutput("decision", shape, "BOOL", [p >= THRESHOLD for p in found]),
            InferOutput("risk", shape, "BYTES", [risk(p) for p in found]),
        ]
        return InferResponse(
            request.id or generate_uuid(), self.name, outputs, use_binary_outputs=request.use_binary_outputs
        )


def values(tensor: InferInput) -> Any:
    if tensor.datatype == "BYTES":
        return [value.decode() if isinstance(value, bytes) else value for value in tensor.as_numpy().tolist()]
    return tensor.as_numpy()


def risk(p: float) -> str:
    return "low" if p < THRESHOLD else "medium" if p < HIGH_RISK else "high"


if __name__ == "__main__":
    model = Churn(model_server.args.model_name)
    model.load()
    ModelServer().start([model])
