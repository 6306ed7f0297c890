"""Is one model better than another on the same rows? A paired bootstrap answers with an interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """Mean paired difference and its percentile interval; below zero means the first has the smaller loss."""

    mean: float
    low: float
    high: float


def paired_bootstrap(
    first: Vector, second: Vector, *, draws: int = 2000, level: float = 0.95, seed: int = 7
) -> Difference:
    """The mean of `first - second` (losses (n,) of the same rows) with a percentile bootstrap interval (Efron 1979)."""
    difference = first - second
    n = len(difference)
    generator = np.random.default_rng(seed)
    at_once = max(1, 4_000_000 // n)
    means = [
        difference[generator.integers(0, n, (min(at_once, draws - done), n))].mean(axis=1)
        for done in range(0, draws, at_once)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return Difference(float(difference.mean()), float(low), float(high))
