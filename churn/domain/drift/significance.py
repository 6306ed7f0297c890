"""Could chance alone have done this? The tests by which two samples are compared, and what many tests at once allow.

The monitoring step takes its p-values from alibi-detect; these are the same tests without SciPy, for everybody else."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from churn.domain.drift.effects import Counts, Matrix, Vector, ks_distance

Tests = Callable[[Matrix, Matrix, Sequence[bool]], Vector]
"""Reference (n, k), window (m, k) and which columns hold codes; gives a p-value for each column (k,)."""

_TERMS = 100


def p_values(reference: Matrix, window: Matrix, coded: Sequence[bool]) -> Vector:
    """Kolmogorov-Smirnov for numbers, chi-squared for codes."""
    found = [
        chi_squared(*_together(reference[:, place], window[:, place]))
        if is_coded
        else kolmogorov_smirnov(reference[:, place], window[:, place])
        for place, is_coded in enumerate(coded)
    ]
    return np.array(found, np.float64)


def kolmogorov_smirnov(first: Vector, second: Vector) -> float:
    """The two-sided p-value of the two-sample test, by Kolmogorov's distribution with Stephens' correction (1970)."""
    size = math.sqrt(len(first) * len(second) / (len(first) + len(second)))
    scaled = (size + 0.12 + 0.11 / size) * ks_distance(first, second)
    if scaled < 0.2:  # the series does not converge there, and the value is 1 to twelve digits
        return 1.0
    order = np.arange(1, _TERMS + 1)
    total = 2 * np.sum((-1.0) ** (order - 1) * np.exp(-2 * order**2 * scaled**2))
    return float(min(max(total, 0.0), 1.0))


def chi_squared(first: Counts, second: Counts) -> float:
    """The p-value of Pearson's test of homogeneity, with Yates' correction for two groups.

    Groups that are empty on both sides do not count."""
    table = np.stack([first, second])[:, (first + second) > 0].astype(np.float64)
    freedom = table.shape[1] - 1
    if not freedom:
        return 1.0
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    distance = np.abs(table - expected)
    if freedom == 1:
        distance = distance - np.minimum(0.5, distance)
    return _upper_tail(float(np.sum(distance**2 / expected)), freedom)


def discoveries(p: Vector, level: float) -> npt.NDArray[np.bool_]:
    """Which of many tests may be believed, so that of those at most `level` are wrong (Benjamini and Hochberg 1995)."""
    order = np.argsort(p, kind="stable")
    passed = np.nonzero(p[order] <= level * np.arange(1, len(p) + 1) / len(p))[0]
    believed = np.zeros(len(p), np.bool_)
    believed[order[: passed[-1] + 1 if len(passed) else 0]] = True
    return believed


def _together(first: Vector, second: Vector) -> tuple[Counts, Counts]:
    groups = int(max(first.max(), second.max())) + 1
    one, other = (np.bincount(values.astype(np.int64), minlength=groups) for values in (first, second))
    return one.astype(np.int64), other.astype(np.int64)


def _upper_tail(value: float, freedom: int) -> float:
    """The chance of at least `value` under a chi-squared distribution (Abramowitz and Stegun 26.4.4 and 26.4.5)."""
    half = value / 2
    if half > 700:  # e to the minus that is no number any more
        return 0.0
    if freedom % 2:
        terms = sum(half ** (j - 0.5) / math.gamma(j + 0.5) for j in range(1, (freedom - 1) // 2 + 1))
        return float(min(math.erfc(math.sqrt(half)) + math.exp(-half) * terms, 1.0))
    return float(min(math.exp(-half) * sum(half**j / math.factorial(j) for j in range(freedom // 2)), 1.0))
