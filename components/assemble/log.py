"""Rows to train on from the prediction log: what was asked about whom, and what became of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from churn.domain import performance
from churn.domain.contract import Contract
from churn.domain.encoding import feature_schema
from churn.domain.performance import LEAVER, PENDING
from churn.domain.retraining import Decision
from churn.stores import outcomes
from churn.stores.prediction_log.pseudonyms import entity_key
from churn.stores.prediction_log.reading import Query, read
from churn.stores.settings import Settings
from components.monitor_assemble.window import Reservoir, places
from components.validate.step import valid_schema
from feature_repo import names

MOST = 500_000
"""Rows at most; of more, so many are drawn."""

_TIME = pa.timestamp("us", tz="UTC")
_STEP = np.uint64(0x9E3779B97F4A7C15)


def labelled(settings: Settings, contract: Contract, decision: Decision, as_of: dt.datetime) -> pa.Table:
    """Rows of `valid_schema` of the decision's window, in a fixed order, whose outcomes are known at `as_of`.

    Of a customer who was asked about often the last row of a week counts: near copies are no evidence. Copies that were
    scored in the shadow, rows of other contracts and customers without a name are left out."""
    rows = _answered(settings, contract, decision, as_of)
    state = _states(rows, outcomes.read(settings.database, contract.name), contract.target.horizon_days, as_of)
    known = pa.array(state != PENDING)
    target = pa.array((state == LEAVER).astype(np.int64))
    is_integer = pa.types.is_integer(names.key_type(contract))
    keys = [entity_key(customer, integer=is_integer) for customer in rows[names.ENTITY_ID].to_pylist()]
    table = rows.select(list(contract.raw)).append_column(names.key(contract), pa.array(keys, names.key_type(contract)))
    table = table.append_column(names.EVENT_TIMESTAMP, rows[names.EVENT_TIMESTAMP]).append_column(
        contract.target.column, target
    )
    schema = valid_schema(contract)
    order = [(names.EVENT_TIMESTAMP, "ascending"), (names.key(contract), "ascending")]
    return table.filter(known).select(schema.names).cast(schema).sort_by(order).combine_chunks()


def _answered(settings: Settings, contract: Contract, decision: Decision, as_of: dt.datetime) -> pa.Table:
    features = feature_schema(contract, contract.raw)
    schema = features.append(pa.field(names.ENTITY_ID, pa.binary(16))).append(pa.field(names.EVENT_TIMESTAMP, _TIME))
    kept = Reservoir(schema, MOST)
    for batch in _asked(settings, contract, decision, as_of):
        columns = [batch["features"].field(name) for name in contract.raw]
        table = pa.table([*columns, batch["customer"], batch["predicted_at"]], names=schema.names).cast(schema)
        week = performance.weeks(performance.times(batch["predicted_at"])).astype(np.uint64)
        kept.add(table, places(batch) + week * _STEP)
    return kept.rows()


def _asked(settings: Settings, contract: Contract, decision: Decision, as_of: dt.datetime) -> Iterator[pa.RecordBatch]:
    for batch in read(settings.database, Query(model=contract.name, since=decision.since, until=as_of)):
        if batch["layout"][0].as_py() == contract.digest:
            own = pc.and_(pc.is_valid(batch["customer"]), pc.invert(batch["shadow"]))
            wanted = decision.takes(batch["predicted_at"].cast(pa.int64()).to_numpy())
            yield batch.filter(pc.and_(own, pa.array(wanted)))


def _states(rows: pa.Table, known: pa.Table, horizon_days: int, as_of: dt.datetime) -> npt.NDArray[np.int8]:
    found = outcomes.met(rows[names.ENTITY_ID], known)
    left_at, stayed_until = (performance.times(found[name]) for name in ("left_at", "stayed_until"))
    at = performance.times(rows[names.EVENT_TIMESTAMP])
    return performance.fates(at, left_at, stayed_until, horizon_days, performance.microseconds(as_of))
