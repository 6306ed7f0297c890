"""The bounds, as whoever runs the system wants them."""

from __future__ import annotations

from collections.abc import Mapping

from churn.domain.rollout.bounds import Bounds
from churn.stores.variables import number

ERROR_RATE = "CHURN_ROLLOUT_ERROR_RATE"
P99_RATIO = "CHURN_ROLLOUT_P99_RATIO"
LEVEL = "CHURN_ROLLOUT_LEVEL"
WATCH = "CHURN_ROLLOUT_WATCH_SECONDS"


def bounds(env: Mapping[str, str]) -> Bounds:
    """Reads the environment. Raises UserError naming the variable for a bound that cannot be."""
    usual = Bounds()
    return Bounds(
        error_rate=number(env, ERROR_RATE, usual.error_rate, 0, 1),
        p99_ratio=number(env, P99_RATIO, usual.p99_ratio, 1, 1000),
        level=number(env, LEVEL, usual.level, 0, 0.5),
        watch_seconds=number(env, WATCH, usual.watch_seconds, 0, 1e7),
    )
