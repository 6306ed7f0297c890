"""How the graph behaves, whatever it predicts: how fast, and whether it repeats itself."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from churn.domain.graph import Graph

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

BATCHES = ((1, 50), (7, 350))
"""Sizes of batches, and how many rows at most are scored in each."""
_CALLS, _REPEATS, _SECONDS = 200, 5, 0.4


def latency_ms(graph: Graph, columns: Matrix) -> float:
    """Milliseconds for one row: the median of 200 warm calls, the best of five such medians.

    Other work on the machine can only make a call slower, so the best is nearest to what the graph costs. A slow graph
    is called less often."""
    rows = [columns[i : i + 1] for i in range(min(_CALLS, len(columns)))]
    first = _seconds(graph, rows[0])
    calls = int(np.clip(_SECONDS / max(first, 1e-6), 5, _CALLS))
    medians = [statistics.median(_seconds(graph, rows[i % len(rows)]) for i in range(calls)) for _ in range(_REPEATS)]
    return 1000 * min(medians)


def repeats(graph: Graph, columns: Matrix) -> bool:
    """Whether the same rows give the same answer twice, to the last bit."""
    first, second = graph.run(columns)[0], graph.run(columns)[0]
    return bool(np.array_equal(first, second))


def batch_difference(graph: Graph, columns: Matrix) -> float:
    """The largest difference between the answers for rows alone, in sevens, and all at once."""
    whole = _probability(graph, columns)
    return max(float(np.abs(_in_batches(graph, columns[:rows], size) - whole[:rows]).max()) for size, rows in BATCHES)


def _in_batches(graph: Graph, columns: Matrix, size: int) -> Vector:
    parts: Iterable[Matrix] = (columns[start : start + size] for start in range(0, len(columns), size))
    return np.concatenate([_probability(graph, part) for part in parts])


def _probability(graph: Graph, columns: Matrix) -> Vector:
    return np.asarray(graph.run(columns)[0], np.float64).reshape(-1)


def _seconds(graph: Graph, row: Matrix) -> float:
    start = time.perf_counter()
    graph.run(row)
    return time.perf_counter() - start
