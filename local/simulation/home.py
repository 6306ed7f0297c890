"""A home of its own for each simulation: nothing of it reaches the stores, or the people, of the real one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from churn.stores.settings import Settings

_KEPT = (
    "CHURN_ENVIRONMENTS", "CHURN_IMAGE_REGISTRY", "CHURN_IMAGE_TAG", "CHURN_DRIFT_EFFECT", "CHURN_RETRAIN_IMPORTANCE",
    "CHURN_RETRAIN_AGE_DAYS", "CHURN_RETRAIN_ROWS",
)  # fmt: skip
"""How things are run and judged; where they lie, who is told and who may ask is the home's business."""


@contextmanager
def fresh(folder: Path) -> Iterator[Settings]:
    """Settings of a home in `folder`, for this process and all that it starts; afterwards everything is as before."""
    before = {name: value for name, value in os.environ.items() if name.startswith("CHURN_")}
    for name in before:
        if name not in _KEPT:
            del os.environ[name]
    os.environ["CHURN_HOME"] = str(folder)
    try:
        yield Settings.load().prepare()
    finally:
        for name in [name for name in os.environ if name.startswith("CHURN_")]:
            del os.environ[name]
        os.environ.update(before)
