"""MLServer with a runtime of our own around the same pipeline; it runs in an environment of its own (mlserver.lock)."""

from __future__ import annotations

import os

from mlserver import MLModel
from mlserver.codecs import NumpyCodec, PandasCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from tests.benchmarks.serving.peers import pipeline

THRESHOLD = float(os.environ["PEER_THRESHOLD"])
HIGH_RISK = float(os.environ["PEER_HIGH_RISK"])


class Churn(MLModel):
    async def load(self) -> bool:
        self.pipeline = pipeline.load(os.environ["PEER_PIPELINE"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        frame = self.decode_request(payload, default_codec=PandasCodec)
        found = self.pipeline.predict_proba(frame)[:, 1].astype("float64")
        risks = ["low" if p < THRESHOLD else "medium" if p < HIGH_RISK else "high" for p in found.tolist()]
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                NumpyCodec.encode_output("probability", found),
                NumpyCodec.encode_output("decision", found >= THRESHOLD),
                StringCodec.encode_output("risk", risks),
            ],
        )
