"""How far two samples lie apart, whatever their size."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Band = Literal["stable", "moderate", "large"]

PSI_BANDS = (0.1, 0.25)
_BINS = 10
_HALF = 0.5


def ks_distance(first: Vector, second: Vector) -> float:
    """The largest distance of the two empirical distribution functions (Kolmogorov-Smirnov)."""
    first, second = np.sort(first), np.sort(second)
    both = np.concatenate([first, second])
    shares = (np.searchsorted(one, both, side="right") / len(one) for one in (first, second))
    return float(np.abs(np.subtract(*shares)).max())


def total_variation(first: Counts, second: Counts) -> float:
    """Half the sum of the differences in share: how many of one sample would have to change to give the other."""
    return float(np.abs(first / first.sum() - second / second.sum()).sum() / 2)


def psi(first: Counts, second: Counts) -> float:
    """Population stability index of two counts of the same groups, `first` the reference.

    Half a row is added to each group, so that an empty one gives no infinity."""
    expected, actual = ((counts + _HALF) / (counts + _HALF).sum() for counts in (first, second))
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def band(index: float) -> Band:
    """What is usually said of a stability index: stable below .1, moderate below .25, large from there."""
    return "stable" if index < PSI_BANDS[0] else "moderate" if index < PSI_BANDS[1] else "large"


def edges(reference: Vector, bins: int = _BINS) -> Vector:
    """Inner edges of groups that hold about as many of the known reference values each; fewer where values repeat."""
    known = reference[np.isfinite(reference)]
    if not len(known):
        return np.empty(0)
    inner = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.asarray(inner[inner > known.min()], np.float64)


def grouped(values: Vector, inner: Vector) -> Counts:
    """Counts by group, from an edge on to below the next; what is missing is a group of its own, the last."""
    known = values[np.isfinite(values)]
    counts = np.bincount(np.searchsorted(inner, known, side="right"), minlength=len(inner) + 1)
    return np.append(counts, len(values) - len(known)).astype(np.int64)


def counted(values: Vector, groups: int) -> Counts:
    """Counts of the codes 0 to `groups` - 1."""
    return np.bincount(values.astype(np.int64), minlength=groups).astype(np.int64)
