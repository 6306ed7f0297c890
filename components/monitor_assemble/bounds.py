"""From when on a change counts, as whoever runs the system wants it."""

from __future__ import annotations

from collections.abc import Mapping

from churn.domain.drift.verdict import Bounds
from churn.stores.variables import number

EFFECT = "CHURN_DRIFT_EFFECT"


def bounds(env: Mapping[str, str]) -> Bounds:
    """Reads the environment. No part of the contract: a bound must be changeable while the model stays.

    Raises UserError for an effect that is no number between 0 and 1."""
    return Bounds(effect=number(env, EFFECT, Bounds().effect, 0, 1))
