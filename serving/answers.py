"""One customer's answer: the probability, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET, UnsetType

from churn.domain.bundle import Bundle
from churn.domain.decision import Risk, confidence, recommendation, risk


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`decision` is whether to act: the probability reaches the threshold with the highest expected profit."""

    customer_id: str | int | UnsetType = UNSET
    probability: float
    decision: bool
    risk: Risk
    confidence: float
    recommendation: str
    model_name: str
    model_version: int


def judge(
    bundle: Bundle, version: int, ids: Sequence[str | int | UnsetType], probabilities: npt.NDArray[np.float64]
) -> list[Answer]:
    """The answers to probabilities (n,) for n customers, with the ids they were asked by."""
    return [_judge(bundle, version, key, p) for key, p in zip(ids, probabilities.tolist(), strict=True)]


def _judge(bundle: Bundle, version: int, key: str | int | UnsetType, p: float) -> Answer:
    level = risk(p, bundle.manifest.risk)
    return Answer(
        customer_id=key,
        probability=p,
        decision=p >= bundle.manifest.threshold,
        risk=level,
        confidence=confidence(p),
        recommendation=recommendation(bundle.contract, level),
        model_name=bundle.manifest.model,
        model_version=version,
    )
