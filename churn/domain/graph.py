"""One way to run a graph: ONNX Runtime, quiet, on a fixed number of threads so that answers repeat exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime


class Graph:
    """A graph of one input, ready to run. Thread-safe. `threads` is per call; one is best for small batches."""

    def __init__(self, serialized: bytes, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(serialized, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self.outputs = [output.name for output in self._session.get_outputs()]

    def run(self, matrix: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """The graph's outputs, in their order, for a matrix (n, columns)."""
        return list(self._session.run(None, {self._input: np.ascontiguousarray(matrix)}))
