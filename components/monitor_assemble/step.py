"""Assembling: one pass over the log gives the window's sample and the predictions that outcomes may be known for."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from churn.domain import performance
from churn.domain.contract import Contract
from churn.domain.drift.verdict import PROBABILITY, Bounds
from churn.domain.encoding import feature_schema
from churn.domain.errors import UserError
from churn.stores import outcomes
from churn.stores.addresses import sqlite_file
from churn.stores.database import migrate
from churn.stores.prediction_log.reading import Query, read
from churn.stores.settings import Settings
from components.files import write_json
from components.monitor_assemble import champion
from components.monitor_assemble.champion import Champion
from components.monitor_assemble.facts import CONTRACT, Facts, Share
from components.monitor_assemble.times import require_days
from components.monitor_assemble.window import Reservoir, places
from feature_repo import names

JUDGED_WEEKS = 26
"""How far back predictions are judged by their outcomes, at least."""

_FATE = ("customer", "predicted_at", "version", "variant", "shadow", "probability", "decision")


@dataclass(frozen=True)
class Asked:
    """The window: `days` before `as_of`. `bounds` go on to the judge.

    Predictions with their outcomes are gathered for `JUDGED_WEEKS`, and for `known_days` before the newest whose label
    horizon has passed."""

    model: str
    as_of: dt.datetime
    days: int = 30
    known_days: int = 0
    bounds: Bounds = field(default_factory=Bounds)

    @property
    def since(self) -> dt.datetime:
        """Where the window begins."""
        return self.as_of - dt.timedelta(days=self.days)


@dataclass(frozen=True)
class Files:
    """Where what was assembled goes. No key and no pseudonym is in any of it."""

    contract: Path
    reference: Path
    window: Path
    predictions: Path
    facts: Path


def assemble(settings: Settings, asked: Asked, files: Files) -> Facts:
    """Writes the files; gives the facts, which are one of them.

    The window holds a sample of the champion's contract's rows: its columns, the time, and the probability where the
    champion gave it. An empty log is no error; the judge says what that means. Raises UserError when the model has no
    champion, for a window that cannot be, and when a store is away."""
    require_days(asked.days, "days")
    if asked.known_days:
        require_days(asked.known_days, "known_days")
    serving = champion.find(settings, asked.model)
    contract = serving.bundle.contract
    reference = _reference(serving)
    log = _read_log(settings.database, asked, serving)
    predictions = log.fates()
    known = outcomes.met(predictions["customer"], outcomes.read(settings.database, asked.model))
    for name in known.column_names:
        predictions = predictions.append_column(name, known[name])
    found = _facts(asked, serving, reference, log, predictions)
    for path in (files.contract, files.reference, files.window, files.predictions):
        path.parent.mkdir(parents=True, exist_ok=True)
    files.contract.write_text(contract.to_yaml(), encoding="utf-8")
    _write(files.reference, reference.select([*contract.raw, PROBABILITY]), contract)
    _write(files.window, log.sample.rows(), contract)
    _write(files.predictions, predictions.drop_columns(["customer"]), contract)
    write_json(files.facts, found)
    return found


class _Log:
    """What a pass over the log gathers."""

    def __init__(self, asked: Asked, serving: Champion) -> None:
        self._asked, self._serving = asked, serving
        self._contract = serving.bundle.contract
        features = feature_schema(self._contract, self._contract.raw)
        schema = features.append(pa.field(PROBABILITY, pa.float64())).append(pa.field(names.EVENT_TIMESTAMP, _TIME))
        self.sample = Reservoir(schema)
        self._schema = schema
        self._fates: list[pa.Table] = []
        self.traffic: Counter[tuple[int, str, bool]] = Counter()
        self.rows = self.foreign = self.nameless = self.answered = self.contacted = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Takes a batch of one layout."""
        named = pc.is_valid(batch["customer"])
        self.nameless += len(batch) - (pc.sum(named).as_py() or 0)
        own = pa.repeat(batch["layout"][0].as_py() == self._contract.digest, len(batch))
        self._fates.append(pa.Table.from_batches([batch]).select(_FATE).append_column("own", own).filter(named))
        recent = batch.filter(pc.greater_equal(batch["predicted_at"], pa.scalar(self._asked.since, _TIME)))
        for key in zip(*(recent[name].to_pylist() for name in ("version", "variant", "shadow")), strict=True):
            self.traffic[key] += 1
        self._add_to_window(recent.filter(pc.invert(recent["shadow"])))

    def fates(self) -> pa.Table:
        """Predictions about customers with a name: of each the last of a version in a week, as one who is asked about
        often is no more evidence than another."""
        table = pa.concat_tables([_FATES.empty_table(), *self._fates])
        customer = pc.dictionary_encode(table["customer"].combine_chunks()).indices.to_numpy()
        version, time = table["version"].to_numpy(), performance.times(table["predicted_at"])
        week = performance.weeks(time)
        order = np.lexsort((time, customer, week, version))
        keys = np.column_stack([version, week, customer])[order]
        last = np.append((keys[1:] != keys[:-1]).any(axis=1), True) if len(order) else np.empty(0, np.bool_)
        return table.take(pa.array(np.sort(order[last])))

    def _add_to_window(self, batch: pa.RecordBatch) -> None:
        self.rows += len(batch)
        own = pc.equal(batch["version"], self._serving.version)
        answers = batch.filter(own)
        self.answered += len(answers)
        self.contacted += pc.sum(answers["decision"]).as_py() or 0
        if not len(batch) or batch["layout"][0].as_py() != self._contract.digest:
            self.foreign += len(batch)
            return
        columns = [batch["features"].field(name) for name in self._contract.raw]
        probability = pc.if_else(own, batch["probability"], pa.scalar(None, pa.float64()))
        table = pa.table([*columns, probability, batch["predicted_at"]], names=self._schema.names).cast(self._schema)
        self.sample.add(table, places(batch))


_TIME = pa.timestamp("us", tz="UTC")
_FATES = pa.schema(
    {
        "customer": pa.binary(16), "predicted_at": _TIME, "version": pa.int32(), "variant": pa.string(),
        "shadow": pa.bool_(), "probability": pa.float64(), "decision": pa.bool_(), "own": pa.bool_(),
    }
)  # fmt: skip


def _read_log(url: str, asked: Asked, serving: Champion) -> _Log:
    """Up to `as_of`: what a clock that is ahead has dated later waits for its time."""
    log = _Log(asked, serving)
    if sqlite_file(url) is not None:
        migrate(url)  # a file on one machine has no administrator, and may have no log before the first prediction
    known = dt.timedelta(days=asked.known_days + serving.bundle.contract.target.horizon_days)
    earliest = min(asked.since, asked.as_of - dt.timedelta(weeks=JUDGED_WEEKS), asked.as_of - known)
    for batch in read(url, Query(model=asked.model, since=earliest, until=asked.as_of)):
        log.add(batch)
    return log


def _reference(serving: Champion) -> pa.Table:
    """The sample in the champion's bundle. Raises UserError when it is of another contract than the champion."""
    bundle = serving.bundle
    table = pq.read_table(bundle.folder / "reference.parquet")
    lacking = [name for name in (*bundle.contract.raw, PROBABILITY) if name not in table.column_names]
    if lacking or bundle.manifest.contract != bundle.contract.digest:
        what = f"lacks the column '{lacking[0]}'" if lacking else "is of another contract than the model"
        raise UserError(f"the reference {what}", where=f"bundle {bundle.digest[:12]}", remedy="train and promote anew")
    return table


def _facts(asked: Asked, serving: Champion, reference: pa.Table, log: _Log, predictions: pa.Table) -> Facts:
    manifest, contract = serving.bundle.manifest, serving.bundle.contract
    before = pc.less_equal(predictions["left_at"], predictions["predicted_at"])
    return Facts(
        model=asked.model,
        contract=contract.digest,
        version=serving.version,
        digest=serving.bundle.digest,
        threshold=manifest.threshold,
        horizon_days=contract.target.horizon_days,
        since=asked.since,
        as_of=asked.as_of,
        trained_to=serving.trained_to,
        promoted=serving.promoted,
        importance=serving.importance,
        bounds=asked.bounds,
        traffic=tuple(Share(*key, rows) for key, rows in sorted(log.traffic.items())),
        rows=log.rows,
        foreign=log.foreign,
        nameless=log.nameless,
        gone=pc.sum(before).as_py() or 0,
        positive_rate=log.contacted / log.answered if log.answered else None,
        positive_rate_before=float(pc.mean(pc.greater_equal(reference[PROBABILITY], manifest.threshold)).as_py() or 0),
    )


def _write(path: Path, table: pa.Table, contract: Contract) -> None:
    pq.write_table(table.replace_schema_metadata({CONTRACT: contract.digest}), path, compression="zstd")
