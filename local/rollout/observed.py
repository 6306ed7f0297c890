"""What the log holds of champion and challenger since the challenger began, joined to outcomes: each customer once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from churn.domain import performance
from churn.domain.performance import Predictions
from churn.domain.rollout import evidence
from churn.domain.rollout.evidence import Evidence, Rules
from churn.stores import outcomes
from churn.stores.addresses import sqlite_file
from churn.stores.database import migrate
from churn.stores.prediction_log.reading import Query, read
from churn.stores.traffic import Traffic, Variant

_TIME = pa.timestamp("us", tz="UTC")
_ROWS = pa.schema(
    {
        "customer": pa.binary(), "predicted_at": _TIME, "version": pa.int32(), "shadow": pa.bool_(),
        "probability": pa.float64(), "decision": pa.bool_(), "request_id": pa.string(),
    }
)  # fmt: skip
_MANY = 500_000
_NOTHING = Evidence(customers=0, challenged=0, judged=0, pending=0)
_A_MOMENT = dt.timedelta(microseconds=1)
_SETTLING = dt.timedelta(seconds=30)
"""How long a line-up may take to reach all predictors: until it has, some customers meet the champion who should not,
and the groups would never be as large as they should be."""


@dataclass(frozen=True)
class _Log:
    """The log of the two versions of a traffic document, from `since` on (all of it, where that is null), before
    `until`."""

    url: str
    model: str
    champion: Variant
    challenger: Variant
    since: dt.datetime | None
    until: dt.datetime

    def begun(self, *, shadow: bool) -> dt.datetime | None:
        """When the challenger was first asked."""
        asked = Query(model=self.model, version=self.challenger.version, since=self.since, until=self.until)
        times = [pc.min(part["predicted_at"]).as_py() for part in self._rows(asked, shadow=shadow)]
        return min((one for one in times if one is not None), default=None)

    def rows(self, since: dt.datetime, version: int | None = None, *, shadow: bool = False) -> Iterator[pa.Table]:
        """Tables of `_ROWS` from `since` on, about customers with an id: answers, or shadows."""
        asked = Query(model=self.model, version=version, since=since, until=self.until)
        known = pa.array([self.champion.version, self.challenger.version], pa.int32())
        for part in self._rows(asked, shadow=shadow):
            yield part.filter(pc.is_in(part["version"], known))

    def _rows(self, asked: Query, *, shadow: bool) -> Iterator[pa.Table]:
        for batch in read(self.url, asked):
            table = pa.Table.from_batches([batch]).select(_ROWS.names).cast(_ROWS)
            named = pc.and_(pc.is_valid(table["customer"]), pc.equal(table["shadow"], shadow))
            yield table.filter(named)


def observe(url: str, document: Traffic, rules: Rules, as_of: dt.datetime) -> Evidence:
    """The evidence for and against a document's challenger, up to `as_of`.

    Since when is the document's word; where that is later than `as_of`, as on dates of a simulation, the challenger's
    first prediction. Raises UserError when the database is away."""
    assert document.challenger is not None
    if sqlite_file(url) is not None:
        migrate(url)  # a file on one machine has no administrator, and may have no log before the first prediction
    since = document.lineup_since
    if since is not None and since > as_of:
        since = None
    log = _Log(url, document.model, document.champion, document.challenger, since, as_of)
    in_shadow = document.mode == "shadow"
    begun = log.begun(shadow=in_shadow)
    if begun is None:
        return _NOTHING
    known = outcomes.read(url, document.model)
    left_at, stayed_until = (performance.times(known[name]) for name in ("left_at", "stayed_until"))
    # Of all outcomes, not of those alone whose customers are compared.
    now = min(performance.microseconds(as_of), performance.known_up_to(left_at, stayed_until))
    if in_shadow:
        answered, shadows = _pairs(log, begun)
        return evidence.shadow(_predictions(answered, known), _predictions(shadows, known), rules, now)
    opened = begun + _A_MOMENT if since is None else max(begun + _A_MOMENT, since + _SETTLING)
    first = _first_of_each(log.rows(opened))
    challenged = np.asarray(first["version"]) == document.challenger.version
    return evidence.split(_predictions(first, known), challenged, document.share, rules, now)


def _first_of_each(parts: Iterator[pa.Table]) -> pa.Table:
    """Of each customer the first row, in the order of time."""
    kept, waiting = _ROWS.empty_table(), [_ROWS.empty_table()]
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) > _MANY:
            kept, waiting = _firsts(pa.concat_tables([kept, *waiting])), []
    return _firsts(pa.concat_tables([kept, *waiting]))


def _firsts(table: pa.Table) -> pa.Table:
    table = table.take(pc.sort_indices(table, sort_keys=[("predicted_at", "ascending"), ("request_id", "ascending")]))
    customer = pc.dictionary_encode(table["customer"].combine_chunks()).indices.to_numpy()
    _, places = np.unique(customer, return_index=True)
    return table.take(pa.array(np.sort(places)))


def _pairs(log: _Log, begun: dt.datetime) -> tuple[pa.Table, pa.Table]:
    """The champion's answers and the challenger's shadows of the same requests: of each customer the first such."""
    shadows = pa.concat_tables(
        [_ROWS.empty_table(), *log.rows(begun, log.challenger.version, shadow=True)]
    ).combine_chunks()
    # An answer is written down before its shadow is scored, by a little.
    since = begun - dt.timedelta(minutes=1)
    asked = pc.unique(shadows["request_id"])
    answers = pa.concat_tables(
        [_ROWS.empty_table()]
        + [part.filter(pc.is_in(part["request_id"], asked)) for part in log.rows(since, log.champion.version)]
    ).combine_chunks()
    at = pc.index_in(_keys(answers), _keys(shadows))
    met = pc.is_valid(at)
    answers, partners = answers.filter(met), shadows.take(at.filter(met))
    first = _firsts(answers.append_column("place", pa.array(np.arange(len(answers)))))
    return first.drop_columns(["place"]), partners.take(first["place"])


def _keys(table: pa.Table) -> pa.Array:
    """Request and customer as one value."""
    separator = pa.scalar(b"\0", pa.binary())
    return pc.binary_join_element_wise(
        table["request_id"].cast(pa.binary()).combine_chunks(), table["customer"].combine_chunks(), separator
    )


def _predictions(table: pa.Table, known: pa.Table) -> Predictions:
    found = outcomes.met(table["customer"], known)
    return Predictions(
        at=performance.times(table["predicted_at"]),
        version=np.asarray(table["version"], np.int64),
        probability=np.asarray(table["probability"], np.float64),
        contacted=np.asarray(table["decision"], np.bool_),
        left_at=performance.times(found["left_at"]),
        stayed_until=performance.times(found["stayed_until"]),
    )
