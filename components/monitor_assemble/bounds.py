"""From when on a change counts, as whoever runs the system wants it."""

from __future__ import annotations

from collections.abc import Mapping

from churn.domain.drift.verdict import Bounds
from churn.domain.errors import UserError

EFFECT = "CHURN_DRIFT_EFFECT"


def bounds(env: Mapping[str, str]) -> Bounds:
    """Reads the environment. No part of the contract: a bound must be changeable while the model stays.

    Raises UserError for an effect that is no number between 0 and 1."""
    given = env.get(EFFECT)
    if not given:
        return Bounds()
    try:
        effect = float(given)
    except ValueError:
        effect = 0.0
    if not 0 < effect < 1:
        raise UserError(f"'{given}' is no number between 0 and 1", where=EFFECT, remedy="like 0.08")
    return Bounds(effect=effect)
