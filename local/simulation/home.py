"""A home of its own for each simulation: nothing of it reaches the stores, or the people, of the real one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from churn.stores.settings import Settings
from serving.settings import ServingSettings

_KEPT = (
    "CHURN_ENVIRONMENTS", "CHURN_IMAGE_REGISTRY", "CHURN_IMAGE_TAG", "CHURN_DRIFT_EFFECT", "CHURN_RETRAIN_IMPORTANCE",
    "CHURN_RETRAIN_AGE_DAYS", "CHURN_RETRAIN_ROWS",
)  # fmt: skip
"""How things are run and judged; where they lie, who is told and who may ask is the home's business."""


@contextmanager
def fresh(folder: Path, seed: int) -> Iterator[Settings]:
    """Settings of a home in `folder`, for this process and all that it starts; afterwards everything is as before.

    Customers get their names in the log by a key of the `seed`: the names decide who is held out of training, and the
    same seed is to give the same year."""
    before = {name: value for name, value in os.environ.items() if name.startswith("CHURN_")}
    for name in before:
        if name not in _KEPT:
            del os.environ[name]
    os.environ["CHURN_HOME"] = str(folder)
    try:
        settings = Settings.load().prepare()
        key = ServingSettings.load(os.environ, settings).log_key
        key.parent.mkdir(mode=0o700)
        key.touch(mode=0o600)
        key.write_text(hashlib.sha256(f"simulation {seed}".encode()).hexdigest(), encoding="utf-8")
        yield settings
    finally:
        for name in [name for name in os.environ if name.startswith("CHURN_")]:
            del os.environ[name]
        os.environ.update(before)
