"""Records and logs for the tests of the prediction log; light, so that processes that are killed start quickly."""

from __future__ import annotations

import struct
import time
from pathlib import Path
from typing import Any

from churn.stores.prediction_log.log import PredictionLog
from churn.stores.prediction_log.records import Layout, LayoutColumn, Logged, LogOptions, new_record

LAYOUT = Layout(
    "a1" * 32,
    "telco",
    (
        LayoutColumn("tenure", "integer"),
        LayoutColumn("version", "number"),  # as one of the log's own columns is called
        LayoutColumn("contract", "category", ("Month-to-month", "One year", "Two year")),
    ),
)
ROW = (12.0, 70.35, 1.0)
NAN = float("nan")


def record(rows: int = 1, **changes: Any) -> Logged:
    """An answer for `rows` customers without ids; row i has the probability i / rows."""
    values: dict[str, Any] = {
        "record": new_record(),
        "request_id": "request-1",
        "at": time.time(),
        "model": "telco",
        "version": 3,
        "variant": "champion",
        "shadow": False,
        "threshold": 0.5,
        "latency_ms": 1.5,
        "layout": LAYOUT.digest,
        "customers": None,
        "probabilities": struct.pack(f"<{rows}d", *(row / rows for row in range(rows))),
        "risks": bytes(row % 3 for row in range(rows)),
        "features": matrix(*[ROW] * rows),
    }
    return Logged(**{**values, **changes})


def matrix(*rows: tuple[float, ...]) -> bytes:
    """Rows of features as the log takes them."""
    return b"".join(struct.pack(f"<{len(row)}d", *row) for row in rows)


def log(url: str, spool: Path, **options: Any) -> PredictionLog:
    """A log that ships at once, and knows the sample's layout."""
    made = PredictionLog(LogOptions(url, spool, **{"ship_s": 0.01, "adopt_s": 0.1, **options}))
    made.add_layout(LAYOUT)
    return made
