"""Predictions in the spool of this machine: on their way to the database, which no longer takes the customer's."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from churn.stores.prediction_log.frames import LAYOUTS, RECORDS, SEGMENT_MAGIC, Frame, scan
from churn.stores.prediction_log.log import PredictionLog
from churn.stores.prediction_log.records import Layout, Logged, LogOptions
from churn.stores.prediction_log.schema import RISKS
from churn.stores.prediction_log.segments import SUFFIX
from churn.stores.privacy.customer import Customer
from churn.stores.privacy.places import Held

PATIENCE_S = 30.0
"""A running predictor's segment goes some ten seconds after it was begun, once all in it is in the database."""

_RECORDS = msgspec.msgpack.Decoder(list[Logged])
_LAYOUTS = msgspec.msgpack.Decoder(list[Layout])


class SpooledPredictions:
    """Erased by being delivered: records keep their rows' numbers, by which none is inserted twice, until the database
    leaves the customer's out (which must have been told before). What belongs to running predictors, they deliver."""

    name = "spool"

    def __init__(self, spool: Path, database: str, customer: Customer, patience_s: float = PATIENCE_S) -> None:
        self._spool, self._database, self._customer, self._patience_s = spool, database, customer, patience_s

    def find(self) -> Iterator[Held]:
        """Segments with the customer's rows."""
        for path in self._segments():
            found = sum(len(self._mine(record)) for record, _ in _records(path))
            if found:
                yield Held(self.name, self._shown(path), found)

    def erase(self) -> Iterator[Held]:
        """Delivers what processes left that are gone, and waits for what running ones hold; after a while, no more."""
        found = list(self.find())
        if not found:
            return
        options = LogOptions(self._database, self._spool, ship_s=0.05, adopt_s=0.2)
        log = PredictionLog(options)
        until = time.monotonic() + self._patience_s
        while any(self.find()) and time.monotonic() < until:
            time.sleep(0.1)
        log.close()
        yield from found

    def rows(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """The predictions, features by name."""
        for path in self._segments():
            found = [
                _row(record, row, layouts.get(record.layout))
                for record, layouts in _records(path)
                for row in self._mine(record)
            ]
            if found:
                yield self._shown(path), found

    def _mine(self, record: Logged) -> list[int]:
        names = self._customer.pseudonyms
        return [row for row, customer in enumerate(record.customers or ()) if customer in names]

    def _segments(self) -> list[Path]:
        return sorted(self._spool.glob(f"*/*{SUFFIX}"))

    def _shown(self, path: Path) -> str:
        return path.relative_to(self._spool).as_posix()


def _records(path: Path) -> Iterator[tuple[Logged, dict[str, Layout]]]:
    """The sound records of a segment, and the layouts known by then; nothing when it is gone."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # delivered meanwhile
        return
    layouts: dict[str, Layout] = {}
    try:
        for found in scan(file, len(SEGMENT_MAGIC), os.fstat(file).st_size):
            if not isinstance(found, Frame):
                continue
            if found.kind == LAYOUTS:
                layouts |= {layout.digest: layout for layout in _LAYOUTS.decode(found.content)}
            elif found.kind == RECORDS:
                yield from ((record, layouts) for record in _RECORDS.decode(found.content) if record.is_sound())
    finally:
        os.close(file)


def _row(record: Logged, row: int, layout: Layout | None) -> dict[str, Any]:
    values = np.frombuffer(record.features, "<f8").reshape(record.rows, -1)[row]
    columns = layout.columns if layout else ()
    probability = float(np.frombuffer(record.probabilities, "<f8")[row])
    return {
        "predicted_at": record.at,
        "request_id": record.request_id,
        "model": record.model,
        "version": record.version,
        "variant": record.variant,
        "shadow": record.shadow,
        "probability": probability,
        "decision": probability >= record.threshold,
        "threshold": record.threshold,
        "risk": RISKS[record.risks[row]],
        "features": {
            one.name: None if np.isnan(value) else one.labels[int(value)] if one.labels else float(value)
            for one, value in zip(columns, values, strict=False)
        },
    }
