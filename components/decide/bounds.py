"""From when on something calls for a new model, as whoever runs the system wants it."""

from __future__ import annotations

from collections.abc import Mapping

from churn.domain.errors import UserError
from churn.domain.retraining import Bounds

IMPORTANCE, AGE, ROWS = "CHURN_RETRAIN_IMPORTANCE", "CHURN_RETRAIN_AGE_DAYS", "CHURN_RETRAIN_ROWS"


def bounds(env: Mapping[str, str]) -> Bounds:
    """Reads the environment. Raises UserError for what is no number, or none that can be a bound."""
    usual = Bounds()
    rows = _number(env, ROWS, usual.rows, 1e9)
    return Bounds(
        importance=_number(env, IMPORTANCE, usual.importance, 1.0),
        age_days=_number(env, AGE, usual.age_days, 1e6),
        rows=round(rows),
        leavers=max(1, round(usual.leavers * rows / usual.rows)),
    )


def _number(env: Mapping[str, str], name: str, usual: float, most: float) -> float:
    given = env.get(name)
    if not given:
        return usual
    try:
        value = float(given)
    except ValueError:
        value = -1.0
    if not 0 < value <= most:
        raise UserError(f"'{given}' is no number above 0 and at most {most:g}", name, f"like {usual:g}")
    return value
