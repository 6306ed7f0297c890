"""What became of customers, in PostgreSQL or SQLite: for each the last word, and in a history what was said before.

Customers stand under the pseudonyms of the prediction log. The same outcome again changes nothing; one that is known
for as long or longer takes the place of the former, which goes to the history; one that is known for less long is an
old one that comes late, and changes nothing. A file is loaded in one transaction: all of it, or nothing.

Of a leaver it may be known only by when they have left: between the time until which they are known to have stayed, if
any is, and that one. Whoever has such an outcome keeps a date of leaving that is known already, and how long they had
stayed."""

# ruff: noqa: S608 - values are parameters; names are this module's
from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from churn.stores.outcome_databases import COLUMNS, KNOWN, Database, opened

GIVEN = pa.schema([*list(KNOWN)[:3], pa.field("left_by", pa.bool_())])
"""What `load` takes of each customer; `left_at` is null for who has not left, and the latest it can be if `left_by`."""


class Loaded(msgspec.Struct, frozen=True):
    """Customers in what was loaded, and what came of them: `new`, `changed` (the former is in the history), `same`,
    `late` (something newer is known), `erased` (they asked for it since). `unknown` of them no prediction was logged
    for: their outcomes are kept, for one may still be on its way."""

    customers: int
    new: int
    changed: int
    same: int
    late: int
    erased: int
    unknown: int


def load(url: str, model: str, batches: Iterable[pa.Table], now: dt.datetime) -> Loaded:
    """Loads tables of `GIVEN`; of a customer who stands there twice, what is known for longer, else the later row.

    Raises UserError when the database is away, refuses, or has no such table yet; nothing has changed then."""
    with opened(url, write=True) as database:
        database.begin(model)
        for batch in batches:
            database.stage(_staged(batch.cast(GIVEN)))
        return _merged(database, model, database.moment(now))


def read(url: str, model: str) -> pa.Table:
    """All outcomes of a model's customers, a table of `KNOWN`.

    Raises UserError when the database is away or has no such table yet."""
    with opened(url, write=False) as database:
        found = database.read(f"SELECT {COLUMNS} FROM outcomes WHERE model = {database.mark}", model)
        chunks = [_table(rows) for rows in found]
    return pa.concat_tables([KNOWN.empty_table(), *chunks])


def met(customers: pa.ChunkedArray, known: pa.Table) -> pa.Table:
    """What is known of each of the customers (n,), of what `read` gave: `left_at` and `stayed_until`, or null."""
    at = pc.index_in(customers.combine_chunks().cast(pa.binary()), known["customer"].combine_chunks().cast(pa.binary()))
    return pa.table({name: known[name].combine_chunks().take(at) for name in ("left_at", "stayed_until")})


def _staged(batch: pa.Table) -> pa.Table:
    """Outcomes as they are stored, with `left_by` behind."""
    left, known = batch["left_at"], batch["known_until"]
    by = pc.and_(pc.is_valid(left), pc.fill_null(batch["left_by"], fill_value=False))
    stayed = pc.if_else(by, pa.scalar(None, known.type), pc.coalesce(left, known))
    return pa.table([batch["customer"], left, known, stayed, by], names=[*KNOWN.names, "left_by"])


def _merged(database: Database, model: str, now: Any) -> Loaded:
    """The staged outcomes merged into the table. Each statement looks at the table as the one before has left it."""
    mark = database.mark
    customers = database.settle()
    erased = database.change(
        "DELETE FROM incoming_outcomes WHERE EXISTS (SELECT 1 FROM prediction_erasures e "
        "WHERE e.customer = incoming_outcomes.customer AND e.erased_at >= incoming_outcomes.known_until)"
    )
    unknown = database.count(
        "SELECT count(*) FROM incoming_outcomes i WHERE NOT EXISTS "
        f"(SELECT 1 FROM predictions p WHERE p.customer = i.customer AND p.model = {mark})", model
    )  # fmt: skip
    database.change(  # a date, or how long they had stayed, that is known already
        "UPDATE incoming_outcomes SET left_at = coalesce(o.left_at, incoming_outcomes.left_at), "
        "stayed_until = o.stayed_until FROM outcomes o "
        f"WHERE o.customer = incoming_outcomes.customer AND o.model = {mark} AND incoming_outcomes.left_by "
        "AND coalesce(o.left_at, o.stayed_until) <= incoming_outcomes.left_at "
        "AND coalesce(o.stayed_until >= incoming_outcomes.stayed_until, incoming_outcomes.stayed_until IS NULL)", model
    )  # fmt: skip
    met = f"FROM incoming_outcomes i JOIN outcomes o ON o.customer = i.customer AND o.model = {mark}"
    late = database.count(f"SELECT count(*) {met} WHERE i.known_until < o.known_until", model)
    changed = database.change(
        f"INSERT INTO outcome_history (model, {COLUMNS}, loaded_at, replaced_at) "
        f"SELECT o.model, {', '.join(f'o.{name}' for name in KNOWN.names)}, o.loaded_at, {mark} {met} "
        f"WHERE i.known_until >= o.known_until AND {_differ(database, 'i', 'o')}", now, model
    )  # fmt: skip
    before = database.count(f"SELECT count(*) FROM outcomes WHERE model = {mark}", model)
    database.change(
        f"INSERT INTO outcomes (model, {COLUMNS}, loaded_at) "
        f"SELECT {database.typed}, {COLUMNS}, {mark} FROM incoming_outcomes WHERE true "
        "ON CONFLICT (model, customer) DO UPDATE SET left_at = excluded.left_at, known_until = excluded.known_until, "
        "stayed_until = excluded.stayed_until, loaded_at = excluded.loaded_at "
        f"WHERE excluded.known_until >= outcomes.known_until AND {_differ(database, 'excluded', 'outcomes')}",
        model, now,
    )  # fmt: skip
    new = database.count(f"SELECT count(*) FROM outcomes WHERE model = {mark}", model) - before
    return Loaded(customers, new, changed, customers - erased - new - changed - late, late, erased, unknown)


def _differ(database: Database, one: str, other: str) -> str:
    """A condition: whether two rows say different things of a customer."""
    return f"({' OR '.join(f'{one}.{name} {database.differs} {other}.{name}' for name in KNOWN.names[1:])})"


def _table(rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table([pa.array(values, field.type) for values, field in zip(columns, KNOWN, strict=True)], schema=KNOWN)
