"""Evidence that may be read at any time, as often as anybody likes, without a reading being one too many.

A fixed-sample test that is read every day until it says something says something sooner or later. What stands here
holds at all times at once: the chance that an interval ever misses, or an e-value ever exceeds 1/a, is bounded."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_ZETA = 3.10555  # Riemann's zeta function at _S, rounded up
_S = 1.4
_GROWTH = 2.0
_TIGHTEST = 10.0
"""Where the boundary is tightest: at so many times the square of the largest observation."""

_ALTERNATIVES = 40


class Interval(msgspec.Struct, frozen=True):
    """A mean of `count` observations and a confidence sequence's interval around it."""

    mean: float
    low: float
    high: float
    count: int


def boundary(variance: float, scale: float, alpha: float) -> float:
    """What a sum of differences from their means exceeds with a chance of at most `alpha`, ever.

    The stitched boundary of Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic
    confidence sequences" (Annals of Statistics 49, 2021), theorem 1: with v = max(variance, m), eta = 2, s = 1.4 and
    l = s log(1 + log_eta(v / m)) + log(zeta(s) / alpha),

        sqrt(k1^2 v l + k2^2 c^2 l^2) + k2 c l,  k1 = (eta^(1/4) + eta^(-1/4)) / sqrt 2,  k2 = (sqrt eta + 1) / 2."""
    start = _TIGHTEST * scale**2
    v = max(variance, start)
    weight = _S * math.log1p(math.log(v / start, _GROWTH)) + math.log(_ZETA / alpha)
    k1 = (_GROWTH**0.25 + _GROWTH**-0.25) / math.sqrt(2)
    k2 = (math.sqrt(_GROWTH) + 1) / 2
    return math.sqrt(k1**2 * v * weight + (k2 * scale * weight) ** 2) + k2 * scale * weight


def interval(values: Vector, scale: float, level: float) -> Interval | None:
    """The mean of what is expected of `values` (n,), each at most `scale` away from 0; None of no values.

    The empirical-Bernstein confidence sequence of the same paper, theorem 4, with 0 as the prediction of each value: a
    chance of `level` that it ever misses, half of it on either side."""
    count = len(values)
    if not count or scale <= 0:
        return None
    mean = float(values.mean())
    radius = boundary(float(values @ values), scale, level / 2) / count
    return Interval(mean, mean - radius, mean + radius, count)


def effects(values: Vector, challenged: Mask, share: float) -> Vector:
    """What `values` (n,) of customers in the order they came say of the difference between the two groups.

    Customers are divided by a hash of their id, so that this is a randomised experiment, and the inverse-probability
    estimate of section 4.2 of the paper is unbiased customer by customer: what the customer brought, less the mean of
    those before, divided by the probability `share` of meeting the challenger, or by that of not meeting it."""
    before = np.concatenate([[0.0], np.cumsum(values)[:-1] / np.arange(1, len(values))]) if len(values) else values
    return np.where(challenged, (values - before) / share, (before - values) / (1 - share))


def effect_scale(width: float, share: float) -> float:
    """The bound on `effects` of values that are at most `width` apart."""
    return width / min(share, 1 - share)


def exceeds(hits: float, count: float, bound: float) -> float:
    """The e-value against "at most `bound` of all are hits": above 1/a with a chance of at most a, if that is so.

    A mixture of likelihood ratios (Robbins 1970) over rates evenly above the bound."""
    if count <= 0 or not 0 < bound < 1:
        return 0.0
    hits = min(hits, count)
    rates = bound + (1 - bound) * (np.arange(_ALTERNATIVES) + 0.5) / _ALTERNATIVES
    ratios = hits * np.log(rates / bound) + (count - hits) * np.log((1 - rates) / (1 - bound))
    highest = float(ratios.max())
    return math.exp(min(highest + math.log(float(np.exp(ratios - highest).mean())), 700.0))


def misdivided(challenged: int, count: int, share: float) -> float:
    """The e-value against "each of `count` customers meets the challenger with the probability `share`".

    Lindon and Malek, "Anytime-valid inference for multinomial count data" (NeurIPS 2022), with a uniform prior."""
    others = count - challenged
    log_beta = math.lgamma(challenged + 1) + math.lgamma(others + 1) - math.lgamma(count + 2)
    return math.exp(min(log_beta - challenged * math.log(share) - others * math.log1p(-share), 700.0))
