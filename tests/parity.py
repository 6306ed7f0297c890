"""How far a graph is from the estimator it was made from."""

from __future__ import annotations

import numpy as np
import onnx
from sklearn.pipeline import Pipeline

from churn.domain.graph import Graph
from components.train import estimators


def difference(model: onnx.ModelProto, pipeline: Pipeline, design: np.ndarray) -> float:
    """The largest difference between a converted pipeline's probabilities and its own, over a design matrix."""
    probability = Graph(model.SerializeToString()).run(design)[1][:, 1]
    return float(np.abs(probability - estimators.predict(pipeline, design)).max())
