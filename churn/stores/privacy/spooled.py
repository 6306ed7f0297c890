"""Predictions in the spool of this machine: on their way to the database, which no longer takes the customer's."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from churn.stores.prediction_log.frames import LAYOUTS, RECORDS, SEGMENT_MAGIC, Damage, Frame, scan
from churn.stores.prediction_log.log import PredictionLog
from churn.stores.prediction_log.records import Layout, Logged, LogOptions
from churn.stores.prediction_log.schema import RISKS
from churn.stores.prediction_log.segments import SUFFIX, opened
from churn.stores.privacy.customer import Customer
from churn.stores.privacy.places import Held

PATIENCE_S = 30.0
"""A running predictor's segment goes some ten seconds after it was begun, once all in it is in the database."""

_UNREAD = "cannot be read, or not all of it"
_Read = tuple[Logged, dict[str, Layout]]
_RECORDS = msgspec.msgpack.Decoder(list[Logged])
_LAYOUTS = msgspec.msgpack.Decoder(list[Layout])


class SpooledPredictions:
    """Erased by being delivered: records keep their rows' numbers, by which none is inserted twice, until the database
    leaves the customer's out (which must have been told before). What belongs to running predictors, they deliver."""

    name = "spool"

    def __init__(self, spool: Path, database: str, customer: Customer, patience_s: float = PATIENCE_S) -> None:
        self._spool, self._database, self._customer, self._patience_s = spool, database, customer, patience_s

    def find(self) -> Iterator[Held]:
        """Segments with the customer's rows; and those in which something cannot be read."""
        for path in self._segments():
            read = list(_records(path))
            found = sum(len(self._mine(one[0])) for one in read if one)
            if found:
                yield Held(self.name, self._shown(path), found)
            if None in read:
                yield Held(self.name, self._shown(path), 0, note=_UNREAD)

    def erase(self) -> Iterator[Held]:
        """Delivers what processes left that are gone, and waits for what running ones hold; after a while, no more."""
        found = list(self.find())
        if any(held.rows for held in found):
            self._deliver()
        yield from found

    def _deliver(self) -> None:
        log = PredictionLog(LogOptions(self._database, self._spool, ship_s=0.05, adopt_s=0.2))
        until = time.monotonic() + self._patience_s
        while any(held.rows for held in self.find()) and time.monotonic() < until:
            time.sleep(0.1)
        log.close()

    def rows(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """The predictions, features by name."""
        for path in self._segments():
            found = [
                _row(record, row, layouts.get(record.layout))
                for record, layouts in filter(None, _records(path))
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


def _records(path: Path) -> Iterator[_Read | None]:
    """The sound records of a segment, and the layouts known by then; nothing when it is gone.

    None stands for what cannot be read: all of it, a stretch that was damaged, a frame of another version's."""
    try:
        file = opened(path)
    except FileNotFoundError:  # delivered meanwhile
        return
    except OSError:
        yield None
        return
    layouts: dict[str, Layout] = {}
    try:
        for found in scan(file, len(SEGMENT_MAGIC), os.fstat(file).st_size):
            yield from _decoded(found, layouts)
    except OSError:
        yield None
    finally:
        os.close(file)


def _decoded(found: Frame | Damage, layouts: dict[str, Layout]) -> Iterator[_Read | None]:
    if isinstance(found, Damage):
        if not found.torn:  # a write that is under way, or was not acknowledged
            yield None
        return
    try:
        if found.kind == LAYOUTS:
            layouts |= {layout.digest: layout for layout in _LAYOUTS.decode(found.content)}
        elif found.kind == RECORDS:
            records = _RECORDS.decode(found.content)
            yield from ((record, layouts) if record.is_sound() else None for record in records)
    except msgspec.DecodeError:
        yield None


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
