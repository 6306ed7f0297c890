"""From when on something calls for a new model, as whoever runs the system wants it."""

from __future__ import annotations

from collections.abc import Mapping

from churn.domain.retraining import Bounds
from churn.stores.variables import number

IMPORTANCE, AGE, ROWS = "CHURN_RETRAIN_IMPORTANCE", "CHURN_RETRAIN_AGE_DAYS", "CHURN_RETRAIN_ROWS"


def bounds(env: Mapping[str, str]) -> Bounds:
    """Reads the environment. Raises UserError for what is no number, or none that can be a bound."""
    usual = Bounds()
    rows = number(env, ROWS, usual.rows, 0, 1e9)
    return Bounds(
        importance=number(env, IMPORTANCE, usual.importance, 0, 1),
        age_days=number(env, AGE, usual.age_days, 0, 1e6),
        rows=round(rows),
        leavers=max(1, round(usual.leavers * rows / usual.rows)),
    )
